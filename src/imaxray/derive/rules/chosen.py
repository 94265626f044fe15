"""Collects the rules of a derivation: built-in ones, those of packages, and those of the user."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from imaxray._common.names import nearest
from imaxray._common.plugins import DERIVATIONS, Plugin, plugins_besides
from imaxray.derive.config import DeriveConfig
from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.derive.rules.own_rules import read_own_rules
from imaxray.derive.rules.rule import Concludes, Conclusion, DerivationRule, Habits, Known
from imaxray.errors import ImaxrayError


def chosen_rules(config: DeriveConfig) -> tuple[DerivationRule, ...]:
    """Return all rules that a derivation measures, in the order of its tables.

    A rule of the user's file replaces a rule of the same name.

    Raises:
        ImaxrayError: An option names a rule that does not exist, or a rule is wrong.
    """
    rules = all_rules()
    if config.rules is not None:
        own, builtin = read_own_rules(config.rules)
        names = {rule.name for rule in own}
        kept = [rule for rule in rules if builtin and rule.name not in names]
        rules = (*kept, *(rule.rule() for rule in own))
    _require_known(config.only, rules, "--only")
    _require_known(config.without, rules, "--without")
    return rules


def all_rules() -> tuple[DerivationRule, ...]:
    """Return the built-in rules, then those of other installed packages, sorted by name.

    docs/derive.md explains how a package registers a rule.

    Raises:
        ImaxrayError: The rule of a package cannot be loaded or is no rule.
    """
    outside = plugins_besides(DERIVATIONS, [rule.name for rule in BUILT_IN])
    return (*BUILT_IN, *(_checked(plugin) for plugin in outside.values()))


def rules_content(config: DeriveConfig) -> list[dict[str, Any]]:
    """Return the rules of the user's file as plain values, for manifests."""
    if config.rules is None:
        return []
    own, _ = read_own_rules(config.rules)
    return [rule.model_dump(mode="json", by_alias=True, exclude_defaults=True) for rule in own]


def _checked(plugin: Plugin) -> DerivationRule:
    rule = plugin.load()
    if not isinstance(rule, DerivationRule):
        raise plugin.unfit("it is no imaxray.derive.DerivationRule")
    if rule.name != plugin.point.name:
        raise plugin.unfit(f"its name is {rule.name}, which is not the name of the entry point")
    failed = str(plugin.unfit(_WHAT))
    return replace(rule, conclude=_Guarded(rule.conclude, failed))


_WHAT: Final = "⟨what⟩"


@dataclass(frozen=True)
class _Guarded:
    """The conclusions of a rule of another package; what it raises becomes one sentence."""

    conclude: Concludes
    failed: str

    def __call__(self, known: Known, habits: Habits) -> Iterator[Conclusion]:
        try:
            for conclusion in self.conclude(known, habits):
                if not isinstance(conclusion, Conclusion):
                    what = f"it concludes a {type(conclusion).__name__} and no Conclusion"
                    raise ImaxrayError(self.failed.replace(_WHAT, what))
                yield conclusion
        except ImaxrayError:
            raise
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            what = f"its conclusions failed ({type(error).__name__}: {error})"
            raise ImaxrayError(self.failed.replace(_WHAT, what)) from error


def _require_known(names: Collection[str], rules: Sequence[DerivationRule], option: str) -> None:
    known = [rule.name for rule in rules]
    for name in names:
        rule = name.partition("/")[0] if option == "--without" else name
        if rule not in known:
            near = nearest(rule, known)
            hint = f"did you mean {near}?" if near else f"choose from {', '.join(known)}."
            raise ImaxrayError(f"Expected the name of a rule for {option}, but got {name}; {hint}")
