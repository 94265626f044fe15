"""Reads the answers of models by named rules that can be switched off and are counted."""

from imaxray.tasks._shared.reading.rules import (
    READING_VERSION,
    RULES,
    Reading,
    clean_answer,
    reading_rules,
    require_rules,
)

__all__ = [
    "READING_VERSION",
    "RULES",
    "Reading",
    "clean_answer",
    "reading_rules",
    "require_rules",
]
