"""Clinical rules say which facts about one image contradict each other.

A rule has thresholds and names their source. Curation, audit and the selection of pseudo
annotations use these rules to compare annotations of one image. Each rule is defined once and
works on plain numbers and on Polars columns; a ``clinical:`` block of a YAML file changes it for
all its users at once.
"""

from imaxray.clinical.answers import answer_verdict, answered
from imaxray.clinical.cases import Bounds, Case, Verdict
from imaxray.clinical.predicates import PREDICATES
from imaxray.clinical.reports import (
    MENTIONS,
    affirms,
    confirmed,
    denies,
    report_verdicts,
    suspected,
)
from imaxray.clinical.rule import Cases, ClinicalRule, Severity, judged
from imaxray.clinical.settings import (
    BLOCK,
    DEFAULT_RULES,
    ClinicalRules,
    RuleSettings,
    load_clinical_rules,
    read_block,
    rule_names,
)
from imaxray.clinical.table import clinical_rules_table

__all__ = [
    "BLOCK",
    "DEFAULT_RULES",
    "MENTIONS",
    "PREDICATES",
    "Bounds",
    "Case",
    "Cases",
    "ClinicalRule",
    "ClinicalRules",
    "RuleSettings",
    "Severity",
    "Verdict",
    "affirms",
    "answer_verdict",
    "answered",
    "clinical_rules_table",
    "confirmed",
    "denies",
    "judged",
    "load_clinical_rules",
    "read_block",
    "report_verdicts",
    "rule_names",
    "suspected",
]
