"""Makes answers comparable by named rules: numbers, units, dates, spellings and articles."""

from imaxray.metrics.normalising.rules import (
    CLOSED_ONLY,
    NORMALISATION,
    RULES,
    AnswerType,
    Normalisation,
    normalise,
)
from imaxray.metrics.normalising.squad import squad

__all__ = [
    "CLOSED_ONLY",
    "NORMALISATION",
    "RULES",
    "AnswerType",
    "Normalisation",
    "normalise",
    "squad",
]
