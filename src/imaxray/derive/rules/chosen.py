"""Collects the rules of a derivation: built-in ones, those of packages, and those of the user."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from imaxray._common.names import nearest
from imaxray._common.plugins import DERIVATIONS, plugins_besides
from imaxray.derive.config import DeriveConfig
from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.derive.rules.foreign import guarded
from imaxray.derive.rules.own_rules import read_own_rules
from imaxray.derive.rules.rule import DerivationRule
from imaxray.errors import ImaxrayError
from imaxray.schema import EDEMA_GRADES, FINDINGS

_BUILT_IN: Final = tuple(rule.name for rule in BUILT_IN)
_READINGS: Final = (
    *FINDINGS, *map(str, range(len(EDEMA_GRADES))), "yes", "no", "ctr", "cpar", "heart",
    "left lung", "right lung", "report", "label", "findings", "grade",
)  # fmt: skip
"""Readings of built-in rules."""


def chosen_rules(config: DeriveConfig) -> tuple[DerivationRule, ...]:
    """Return all rules that a derivation measures, in the order of its tables.

    A rule of the user's file replaces a rule of the same name.

    Raises:
        ImaxrayError: An option names a rule that does not exist, or a rule is wrong.
    """
    rules = all_rules()
    if config.rules is not None:
        own, builtin = read_own_rules(config.rules)
        gone = {rule.name for rule in own} | (set() if builtin else set(_BUILT_IN))
        kept = [rule for rule in rules if rule.name not in gone]
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
    return (*BUILT_IN, *(guarded(plugin) for plugin in outside.values()))


def rules_content(config: DeriveConfig) -> list[dict[str, Any]]:
    """Return the rules of the user's file as plain values, for manifests."""
    if config.rules is None:
        return []
    own, _ = read_own_rules(config.rules)
    return [rule.model_dump(mode="json", by_alias=True, exclude_defaults=True) for rule in own]


def _require_known(names: Collection[str], rules: Sequence[DerivationRule], option: str) -> None:
    known = [rule.name for rule in rules]
    for name in names:
        rule = name.partition("/")[0] if option == "--without" else name
        if rule not in known:
            near = nearest(rule, known)
            hint = f"did you mean {near}?" if near else f"choose from {', '.join(known)}."
            raise ImaxrayError(f"Expected the name of a rule for {option}, but got {name}; {hint}")
        reading = name.partition("/")[2]
        if "/" in name and rule in _BUILT_IN and reading not in _READINGS:
            near = nearest(reading, _READINGS)
            hint = f"did you mean {rule}/{near}?" if near else f"such as {rule}/{FINDINGS[0]}."
            raise ImaxrayError(f"Expected a reading of {rule} for {option}, but got {name}; {hint}")
