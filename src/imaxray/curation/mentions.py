"""Whether report text may affirm or deny a finding: column expressions for millions of reports.

They only suspect; :mod:`imaxray.labeller` then reads the few reports that are left.
"""

from __future__ import annotations

from typing import Final

import polars as pl

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
