"""What report text says of findings, and whether labels contradict it.

The definition reads one report with :mod:`imaxray.labeller` (:func:`report_verdicts`). For millions
of reports, column expressions first pick those that may contradict a label (:func:`suspected`), and
only these are then read (:func:`confirmed`). The expressions know fewer wordings than the labeller,
so the fast way may miss a contradiction; it never finds one that the definition does not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from imaxray.clinical.cases import Verdict
from imaxray.clinical.rule import ClinicalRule
from imaxray.labeller import stated

MENTIONS: Final = {
    "Atelectasis": r"atelecta",
    "Cardiomegaly": r"cardiomegaly|heart is (?:\w+ )?enlarged|enlarged heart|"
    r"enlarged cardiac silhouette|cardiac silhouette is (?:\w+ )?enlarged",
    "Consolidation": r"consolidation",
    "Edema": r"(?:pulmonary|interstitial|alveolar|vascular)? ?edema",
    "Fracture": r"fracture",
    "Pleural Effusion": r"pleural effusion|effusions?\b",
    "Pneumonia": r"pneumonia",
    "Pneumothorax": r"pneumothora",
}
"""Labels and the words that mention them, lower case."""

_DENIED: Final = {
    "Cardiomegaly": r"heart (?:size )?(?:is|remains) (?:within )?normal|normal heart size|"
    r"(?:cardiac|cardiomediastinal) silhouette is (?:normal|unremarkable|within normal)",
}
_NEGATION: Final = r"\b(?:no|not|without|negative for|absence of|free of|rather than)\b"
_HEDGE: Final = (
    r"\b(?:may|might|could|possibl[ey]|probabl[ey]|likely|question(?:able)?|suspect|suggest|"
    r"cannot|exclude|versus|or|if|resolved|history of|evaluate|rule out)\b"
)


def denies(text: pl.Expr, name: str) -> pl.Expr:
    """Whether a clause mentions the finding after a negation, or calls its opposite normal."""
    low = text.str.to_lowercase()
    said = low.str.contains(rf"{_NEGATION}[^.;:\n]*(?:{MENTIONS[name]})")
    normal = _DENIED.get(name)
    return said if normal is None else said | low.str.contains(normal)


def affirms(text: pl.Expr, name: str) -> pl.Expr:
    """Whether a clause mentions the finding with no negation and no hedge in it."""
    low = text.str.to_lowercase()
    # Rust's regular expressions cannot look behind: clauses with a negation or hedge are cut first
    plain = low.str.replace_all(rf"[^.;:\n]*(?:{_NEGATION}|{_HEDGE})[^.;:\n]*", "")
    return low.str.contains(MENTIONS[name]) & plain.str.contains(MENTIONS[name])


def suspected(text: pl.Expr, label: pl.Expr, name: str) -> pl.Expr:
    """Whether report text may contradict a label, for columns of any length.

    Args:
        text: the reports.
        label: 1 (present) or 0 (absent).
        name: the finding, one of :data:`MENTIONS`.
    """
    affirmed, denied = affirms(text, name), denies(text, name)
    return pl.when(label == 1).then(denied & ~affirmed).otherwise(affirmed & ~denied)


def confirmed(rule: ClinicalRule, suspects: pl.DataFrame) -> pl.Series:
    """Read suspected reports, and say which of them do contradict their label.

    Args:
        rule: ``report-label``.
        suspects: columns ``text``, ``name`` (the finding) and ``value`` (its label, 1 or 0).

    Returns:
        Booleans, one a row.
    """
    rows = suspects.select("text", "name", "value").iter_rows()
    found = [rule.contradicts(stated(text).get(name), value) for text, name, value in rows]
    return pl.Series("bad", found, dtype=pl.Boolean)


def report_verdicts(
    rule: ClinicalRule, report: str, labels: Mapping[str, float | None]
) -> dict[str, Verdict]:
    """Judge each finding that a report plainly states or denies by the labels of its image.

    Args:
        rule: ``report-label``.
        report: the text.
        labels: finding → 1 or 0; uncertain and unknown ones are ``None`` or left out.

    Returns:
        Finding → verdict, for the findings that the report speaks of plainly.
    """
    return {name: rule.verdict(said, labels.get(name)) for name, said in stated(report).items()}
