"""Collects the rules of a derivation: the built-in ones and those of the user."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imaxray._names import nearest
from imaxray.derive.config import DeriveConfig
from imaxray.derive.rule import DerivationRule
from imaxray.derive.rules import BUILT_IN
from imaxray.errors import ImaxrayError


def chosen_rules(config: DeriveConfig) -> tuple[DerivationRule, ...]:
    """Return all rules that a derivation measures, in the order of its tables.

    Raises:
        ImaxrayError: An option names a rule that does not exist.
    """
    rules = all_rules()
    _require_known(config.only, rules, "--only")
    _require_known(config.without, rules, "--without")
    return rules


def all_rules() -> tuple[DerivationRule, ...]:
    """Return the built-in rules."""
    return BUILT_IN


def _require_known(names: Collection[str], rules: Sequence[DerivationRule], option: str) -> None:
    known = [rule.name for rule in rules]
    for name in names:
        rule = name.partition("/")[0] if option == "--without" else name
        if rule not in known:
            near = nearest(rule, known)
            hint = f"did you mean {near}?" if near else f"choose from {', '.join(known)}."
            raise ImaxrayError(f"Expected the name of a rule for {option}, but got {name}; {hint}")
