"""Makes the table of rules in docs/derive.md from the rules themselves."""

from __future__ import annotations

from collections.abc import Sequence

from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.derive.rules.rule import DerivationRule


def derivation_rules_table(rules: Sequence[DerivationRule] = BUILT_IN) -> str:
    """Return the rules as a Markdown table with one row per rule.

    Args:
        rules: Rules in the order of the table.
    """
    head = ("rule", "what follows", "reads", "makes", "kind", "used", "scope", "source")
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for rule in rules:
        kind = rule.kind if rule.clinical is None else f"{rule.kind}, by `{rule.clinical}`"
        cells = (
            f"`{rule.name}`", rule.says, ", ".join(rule.reads) or "the image",
            ", ".join(rule.makes), kind, rule.default.replace("-", " "), rule.scope, rule.source,
        )  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
