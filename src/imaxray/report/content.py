"""Defines what a report shows: sections of paragraphs, figures, tables, images and gaps.

A report is a list of these values. The page, its CSV files and its LaTeX tables are all made from
them, so that they cannot say different things.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import ClassVar

import polars as pl

from imaxray.boxes import Box
from imaxray.errors import ImaxrayError


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: Plain text; every character is shown as it is.
        soft: Whether the paragraph explains rather than states a result.
    """

    kind: ClassVar[str] = "text"
    text: str
    soft: bool = False


@dataclass(frozen=True)
class Lines:
    """Sentences, one below the other.

    Attributes:
        name: What they say; the line that a reader opens if they are folded.
        lines: Sentences.
        folded: Whether a reader has to open them.
    """

    kind: ClassVar[str] = "lines"
    name: str
    lines: Sequence[str]
    folded: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Missing:
    """Says in one line what a report does not show, and why."""

    kind: ClassVar[str] = "missing"
    what: str
    why: str


@dataclass(frozen=True)
class Code:
    """Text to be copied, e.g. BibTeX or a configuration.

    Attributes:
        name: What it is; also the name of its file.
        text: The text.
        folded: Whether a reader has to open it.
    """

    kind: ClassVar[str] = "code"
    name: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        svg: Inline SVG element, as :func:`imaxray.report.figures.svg` returns it.
        caption: Text under the figure.
    """

    kind: ClassVar[str] = "picture"
    svg: str
    caption: str

    @property
    def name(self) -> str:
        """Title of the figure, as a screen reader says it."""
        found = re.search(r"<title\b[^>]*>(.*?)</title>", self.svg, re.DOTALL)
        return unescape(found[1]) if found else "Figure"


@dataclass(frozen=True)
class Table:
    """A table, which the page also offers as CSV and as LaTeX.

    Attributes:
        name: Name of its files without ending, the only one of this name in a report.
        caption: What the table holds.
        head: Names of the columns.
        rows: Cells as they are shown.
        foot: Rows below a rule, e.g. a mean.
        texts: Number of leading columns that hold text; the others hold numbers.
        frame: Content of the CSV file in full precision; None: the cells as they are shown.
        folded: Whether a reader has to open it.
    """

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[Sequence[str]] = ()
    texts: int = 1
    frame: pl.DataFrame | None = None
    folded: bool = False


@dataclass(frozen=True)
class Card:
    """One number that matters, with what it counts."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer of one arm and the boxes in it (pixels of the original image)."""

    arm: str
    text: str
    boxes: Sequence[Box] = ()


@dataclass(frozen=True)
class Question:
    """One test entry of an example image."""

    task: str
    prompt: str
    gold: str
    gold_boxes: Sequence[Box]
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Example:
    """One test image with all its questions.

    Attributes:
        image_id: Id of the image.
        why: Why it is shown.
        png: Image as base64.
        width: Width of the original image in pixels, to which the boxes refer.
        height: Height of the original image in pixels.
        questions: Its test entries with the answers of the arms.
    """

    image_id: str
    why: str
    png: str
    width: int
    height: int
    questions: Sequence[Question]


@dataclass(frozen=True)
class Gallery:
    """Example images.

    Attributes:
        examples: Images.
        colours: Name of an arm → CSS colour of its boxes.
    """

    kind: ClassVar[str] = "gallery"
    examples: Sequence[Example]
    colours: Mapping[str, str]


Part = Text | Lines | Heading | Missing | Code | Picture | Table | Gallery


@dataclass(frozen=True)
class Section:
    """A section of the report; ``id`` is its anchor."""

    id: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """Everything that one HTML file shows.

    Attributes:
        title: Heading of the page.
        verdict: The result in one sentence.
        further: Sentences below it.
        cards: The numbers that matter.
        front: Figures and tables of the first screen.
        sections: Sections, in order.
        lead: Sentence above the numbers that says what was compared.
        words: Word of the report → what it means, for readers who do not know it.
    """

    title: str
    verdict: str
    further: Sequence[str]
    cards: Sequence[Card]
    front: Sequence[Part]
    sections: Sequence[Section] = field(default_factory=tuple)
    lead: str = ""
    words: Mapping[str, str] = field(default_factory=dict)

    def tables(self) -> list[Table]:
        """Return all tables, in the order of the page."""
        parts = [*self.front, *(part for section in self.sections for part in section.parts)]
        return [part for part in parts if isinstance(part, Table)]


def attempted(what: str, make: Callable[[], Sequence[Part]]) -> list[Part]:
    """Return the parts that ``make`` returns, or one line that says why they cannot be made.

    A folder whose images or runs were moved away still has its other numbers.
    """
    try:
        return list(make())
    except (ImaxrayError, OSError) as error:
        return [Missing(what, " ".join(str(error).split()))]
