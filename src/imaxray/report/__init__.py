"""Writes the report of a study as one self-contained HTML file."""

from imaxray.report.result import (
    Answer,
    Curve,
    Dynamics,
    Example,
    GainTable,
    Question,
    StudyResult,
    View,
)
from imaxray.report.write import thumbnail, write_report

__all__ = [
    "Answer",
    "Curve",
    "Dynamics",
    "Example",
    "GainTable",
    "Question",
    "StudyResult",
    "View",
    "thumbnail",
    "write_report",
]
