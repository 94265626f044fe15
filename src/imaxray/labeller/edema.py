"""Reads the grade of pulmonary edema from the words of a report.

The grades are those of MIMIC-CXR-PE-Severity (Horng et al. 2021): 0 none, 1 vascular congestion, 2
interstitial edema, 3 alveolar edema.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imaxray.labeller.reading import mentions

_ALVEOLAR: Final = re.compile(r"alveolar")
_INTERSTITIAL: Final = re.compile(r"interstitial|kerley")
_CONGESTED: Final = re.compile(
    r"congesti\w+ change|congestion|engorge|redistribut|cephali[sz]ation|vascular indistinct"
    r"|venous hypertension|indistinct"
)
_SEVERE: Final = re.compile(r"\bsevere (?:\w+ ){0,2}edema\b")
_NOTHING: Final = re.compile(
    r"\bno (?:acute |active )?cardio-?pulmonary (?:process|disease|abnormalit\w+|findings?)\b"
    r"|\bnormal chest (?:radiograph|x-?ray|film)\b"
)


@lru_cache(maxsize=20_000)
def edema_grade(text: str) -> int | None:
    """Return the grade that a report states, 0-3; ``None`` if it states none.

    The highest grade that is affirmed counts. Edema whose kind is not named has no grade, and
    neither has a report that doubts edema. A report that denies edema, or that finds nothing acute
    and does not mention edema, has grade 0.

    Example:
        >>> edema_grade("Interstitial edema with vascular congestion."), edema_grade("No edema.")
        (2, 0)
        >>> edema_grade("Pulmonary edema is present.") is None
        True
    """
    said = [mention for mention in mentions(text) if mention.label == "Edema"]
    affirmed = [mention.phrase for mention in said if mention.value == 1]
    grades = [grade for phrase in affirmed if (grade := _grade(phrase, text)) is not None]
    if any(mention.value == -1 for mention in said):
        return None
    if affirmed:
        # edema without its kind next to congestion may be any of the higher grades
        vague = any(_grade(phrase, text) is None for phrase in affirmed)
        return None if not grades or (vague and max(grades) < 2) else max(grades)
    if said:
        return 0
    return 0 if _NOTHING.search(text.lower()) else None


def _grade(phrase: str, text: str) -> int | None:
    if _ALVEOLAR.search(phrase) or _SEVERE.search(text.lower()):
        return 3
    if _INTERSTITIAL.search(phrase):
        return 2
    return 1 if _CONGESTED.search(phrase) else None
