"""Writes the report of a study as one self-contained HTML file."""

from imaxray.report.content import (
    Answer,
    Card,
    Code,
    Example,
    Gallery,
    Heading,
    Lines,
    Missing,
    Part,
    Picture,
    Question,
    Report,
    Section,
    Table,
    Text,
    attempted,
)
from imaxray.report.files import csv_text, latex
from imaxray.report.write import html, require_report_place, thumbnail, write_report

__all__ = [
    "Answer",
    "Card",
    "Code",
    "Example",
    "Gallery",
    "Heading",
    "Lines",
    "Missing",
    "Part",
    "Picture",
    "Question",
    "Report",
    "Section",
    "Table",
    "Text",
    "attempted",
    "csv_text",
    "html",
    "latex",
    "require_report_place",
    "thumbnail",
    "write_report",
]
