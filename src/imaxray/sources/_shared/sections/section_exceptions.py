"""Reads the list of MIMIC-CXR studies whose report MIT-LCP splits by hand (MIT licence)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from imaxray.sources._shared.sections.report_sections import Section, split_sections

EXCEPTION: Final = "report-exception"
"""Quality of a text that MIT-LCP's list of exceptions names."""

_TABLE: Final = "mimic_section_exceptions.txt"


@dataclass(frozen=True)
class SectionException:
    """Where the report of one study says something about its image.

    Attributes:
        section: Name of the section; empty if characters are named instead.
        span: First character, and the character after the last one; equal if the report says
            nothing about the image.
    """

    section: str
    span: tuple[int, int] | None

    def texts(self, text: str) -> list[Section] | None:
        """Return what the report says about its image, or None if it lacks the named section.

        The list does not say whether this is findings or impression; like the last paragraph of a
        report without headings, it counts as findings.
        """
        if self.span is not None:
            found = text[self.span[0] : self.span[1]].strip()
        else:
            named = [s.text for s in split_sections(text) if s.name == self.section and s.text]
            if not named:
                return None
            found = named[-1]
        return [Section("findings", found, EXCEPTION)] if found else []


@lru_cache(maxsize=1)
def section_exceptions() -> dict[str, SectionException]:
    """Return the exceptions by study, e.g. ``s50913680``."""
    text = files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        row["study"]: SectionException(
            row["section"], (int(row["start"]), int(row["end"])) if row["start"] else None
        )
        for row in rows
    }
