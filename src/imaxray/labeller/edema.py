"""Reads the grade of pulmonary edema from the words of a report.

The grades are those of MIMIC-CXR-PE-Severity (Horng et al. 2021): 0 none, 1 vascular congestion, 2
interstitial edema, 3 alveolar edema.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imaxray.labeller.reading import Mention, mentions
from imaxray.labeller.sentences import sentences

_ALVEOLAR: Final = re.compile(r"alveolar")
_INTERSTITIAL: Final = re.compile(r"interstitial|kerley")
_CONGESTED: Final = re.compile(
    r"congesti\w+ change|congestion|engorge|redistribut|cephali[sz]ation|vascular indistinct"
    r"|venous hypertension|indistinct"
)
_SEVERE: Final = re.compile(r"\bsevere (?:\w+ ){0,2}edema\b")
_BEFORE: Final = re.compile(
    r"\b(?:previous\w*|prior|earlier|former\w*|initial\w*|improv\w+|decreas\w+|resolv\w+|from|than"
    r"|less|no longer|not)\b"
)
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
    said: list[Mention] = []
    found: list[int | None] = []  # of what is affirmed
    for sentence in sentences(text):
        here = [mention for mention in mentions(sentence) if mention.label == "Edema"]
        # "no severe edema, vascular congestion": the words are of the edema that is denied
        severe = all(mention.value == 1 for mention in here) and _is_severe(sentence)
        said += here
        found += [_grade(mention.phrase, severe=severe) for mention in here if mention.value == 1]
    grades = [grade for grade in found if grade is not None]
    if any(mention.value == -1 for mention in said):
        return None
    if found:
        # edema without its kind next to congestion may be any of the higher grades
        vague = any(grade is None for grade in found)
        return None if not grades or (vague and max(grades) < 2) else max(grades)
    if said:
        # "no alveolar edema" leaves room for interstitial edema
        kinds = (_ALVEOLAR, _INTERSTITIAL, _CONGESTED)
        parts = all(any(kind.search(m.phrase) for kind in kinds) for m in said)
        return None if parts else 0
    return 0 if _NOTHING.search(text.lower()) else None


def _is_severe(sentence: str) -> bool:
    """Return whether edema is severe now, and was not only so before."""
    return _SEVERE.search(sentence) is not None and _BEFORE.search(sentence) is None


def _grade(phrase: str, *, severe: bool) -> int | None:
    if _ALVEOLAR.search(phrase) or severe:
        return 3
    if _INTERSTITIAL.search(phrase):
        return 2
    return 1 if _CONGESTED.search(phrase) else None
