"""Compares what a report says about findings with the labels of its image.

By definition, a report is read with :mod:`imaxray.labeller` (:func:`report_verdicts`). For millions
of reports, column expressions first select the reports that may contradict a label
(:func:`suspected`), and only these are then read (:func:`confirmed`). The expressions know fewer
wordings than the labeller, so this fast method may miss a contradiction, but it never finds one
that the definition does not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from imaxray.clinical.cases import Verdict
from imaxray.clinical.rule import ClinicalRule

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
"""Label → regular expression of the words that mention it, in lower case."""

_DENIED: Final = {
    "Cardiomegaly": r"heart (?:size )?(?:is|remains) (?:within )?normal|normal heart size|"
    r"(?:cardiac|cardiomediastinal) silhouette is (?:normal|unremarkable|within normal)",
}
_NEGATION: Final = (
    r"\b(?:no|not|without|negative for|absence of|absent|free of|clear of|neither|nor|instead of"
    r"|rather than)\b"
)
_ANSWERED: Final = r"\b(?:not|absent|none)\b|[:=] *(?:no|negative|0)\b"
"""Words that deny what stands before them in their sentence."""
_HEDGE: Final = (
    r"\b(?:may|might|could|possibl[ey]|probabl[ey]|likely|question(?:able)?|suspect|suggest|"
    r"cannot|exclude|versus|or|if|resolved|history of|evaluate|rule out)\b"
)


def denies(text: pl.Expr, name: str) -> pl.Expr:
    """Return whether a sentence denies the finding that it mentions, or calls the organ normal."""
    low = text.str.to_lowercase()
    said = low.str.contains(
        rf"{_NEGATION}[^.;\n]*(?:{MENTIONS[name]})|(?:{MENTIONS[name]})[^.;\n]*(?:{_ANSWERED})"
    )
    normal = _DENIED.get(name)
    return said if normal is None else said | low.str.contains(normal)


def affirms(text: pl.Expr, name: str) -> pl.Expr:
    """Return whether a clause mentions the finding and contains no negation and no hedge."""
    low = text.str.to_lowercase()
    # clauses with a negation or hedge are removed first, as Rust's expressions cannot look behind
    plain = low.str.replace_all(rf"[^.;:\n]*(?:{_NEGATION}|{_HEDGE})[^.;:\n]*", "")
    return low.str.contains(MENTIONS[name]) & plain.str.contains(MENTIONS[name])


def suspected(text: pl.Expr, label: pl.Expr, name: str) -> pl.Expr:
    """Return whether the text of a report may contradict a label.

    Args:
        text: Column of the reports.
        label: Column of the labels, 1 (present) or 0 (absent).
        name: Name of the finding, a key of :data:`MENTIONS`.
    """
    affirmed, denied = affirms(text, name), denies(text, name)
    return pl.when(label == 1).then(denied & ~affirmed).otherwise(affirmed & ~denied)


def confirmed(rule: ClinicalRule, suspects: pl.DataFrame) -> pl.Series:
    """Read suspected reports and return which of them contradict their label.

    Args:
        rule: The clinical rule ``report-label``.
        suspects: Columns ``text``, ``name`` (the finding) and ``value`` (its label, 1 or 0).

    Returns:
        One boolean per row.
    """
    rows = suspects.select("text", "name", "value").iter_rows()
    from imaxray.labeller import stated  # late: its patterns take a tenth of a second to compile

    found = [rule.contradicts(stated(text).get(name), value) for text, name, value in rows]
    return pl.Series("bad", found, dtype=pl.Boolean)


def report_verdicts(
    rule: ClinicalRule, report: str, labels: Mapping[str, float | None]
) -> dict[str, Verdict]:
    """Compare the findings that a report plainly affirms or denies with the labels of its image.

    Args:
        rule: The clinical rule ``report-label``.
        report: Text of the report.
        labels: Finding → 1 or 0; uncertain and unknown findings are ``None`` or missing.

    Returns:
        Finding → verdict, for the findings that the report plainly affirms or denies.
    """
    from imaxray.labeller import stated  # late, as above

    return {name: rule.verdict(said, labels.get(name)) for name, said in stated(report).items()}
