"""Makes the table of clinical rules in docs/clinical-rules.md from the rules themselves."""

from __future__ import annotations

from imaxray.clinical.settings import DEFAULT_RULES, ClinicalRules, rule_names


def clinical_rules_table(rules: ClinicalRules = DEFAULT_RULES) -> str:
    """Return the rules as a Markdown table with one row per rule.

    Args:
        rules: The clinical rules in force.
    """
    rows = ["| rule | a contradiction | thresholds | severity | source |", "| --- " * 5 + "|"]
    for name in rule_names():
        rule = rules[name]
        thresholds = ", ".join(f"`{k}` {v:g}" for k, v in rule.thresholds.items()) or "–"
        cells = (f"`{name}`", rule.description, thresholds, rule.severity, rule.source)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
