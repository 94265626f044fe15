"""Turns the cells of one row of your own table into facts about an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from imaxray.errors import ImaxrayError
from imaxray.sources._shared.images.organ_masks import parse_runs
from imaxray.sources._shared.sections.report_sections import report_texts
from imaxray.sources.own_data.cells import (
    CellError,
    corners,
    grade,
    is_blank,
    label_value,
    number,
    numbers,
    ratio,
)
from imaxray.sources.own_data.file_folders import boxes_of
from imaxray.sources.own_data.mapping import Table
from imaxray.sources.own_data.vocabulary import known_label, plain

_NONE: Final = "No Finding"
_CORNERS: Final = ("x1", "y1")
_CLOSED: Final = ("yes", "no")
_MOST_PIXELS: Final = 10**8  # of a mask that is drawn from run lengths

Row = dict[str, str | None]


class Fact(NamedTuple):
    """Holds one fact; the columns are those of the schema of annotations."""

    kind: str
    name: str
    value: float | None = None
    text: str | None = None
    boxes: list[list[float]] | None = None
    answers: list[str] | None = None


class Fault(NamedTuple):
    """Holds why a cell gives no fact: code and message of its reject."""

    code: str
    message: str


@dataclass(frozen=True)
class FactReader:
    """Reads the facts of the rows of one table.

    Attributes:
        table: What the columns mean.
        vocabulary: Spelling, as :func:`plain` writes it, → label, or None for none of the labels.
    """

    table: Table
    vocabulary: dict[str, str | None]

    def cell(self, row: Row, field: str) -> str | None:
        """Return the cell of a field with the spelling that `values` gives it; None if blank."""
        column = self.table.columns.get(field)
        text = None if column is None else row.get(column)
        known = self.table.values.get(field)
        if known and text is not None:
            same = {plain(spelling): ours for spelling, ours in known.items()}
            text = known[text] if text in known else same.get(plain(text), text)
        return None if is_blank(text) else text

    def of_row(self, row: Row, size: tuple[int, int]) -> Iterator[Fact | Fault]:
        """Yield the facts of a row, and a fault for each cell that gives none.

        Args:
            row: Column → cell.
            size: Width and height of the image file.
        """
        yield from self._labels(row)
        yield from self._findings(row)
        yield from self._numbers(row)
        yield from self._texts(row)
        yield from self._region(row, size)
        yield from self._question(row)

    def _labels(self, row: Row) -> Iterator[Fact | Fault]:
        further = {" ".join(k.split()).lower(): v for k, v in self.table.label_values.items()}
        for label, column in self.table.labels.items():
            try:
                value = label_value(row.get(column), further)
            except CellError:
                yield Fault("unknown-value", f"label_values does not know the value of {label}")
                continue
            if value is not None:
                yield Fact("label", label, value)

    def label_of(self, text: str) -> tuple[bool, str | None]:
        """Return whether a spelling is known, and the label that it means."""
        spelling = plain(text)
        if spelling in self.vocabulary:
            return True, self.vocabulary[spelling]
        label = known_label(text)
        return label is not None, label

    def _findings(self, row: Row) -> Iterator[Fact | Fault]:
        text = self.cell(row, "findings")
        if text is None:
            return
        items = [part.strip() for part in text.split(self.table.separator_of_findings)]
        found: dict[str, float] = {}
        strange = False
        for item in filter(None, items):
            known, label = self.label_of(item)
            if label is not None:
                found[label] = 1.0
                continue
            strange = True
            if known:
                yield Fault("unmapped-label", "vocabulary says that the finding is no label")
            else:
                yield Fault("unknown-label", "vocabulary does not know the finding")
        if strange and _NONE in found:
            del found[_NONE]
            yield Fault("no-finding-denied", "the row also lists a finding that is no label")
        if self.table.unlisted == "no":
            listed = {label for label in self.vocabulary.values() if label}
            found |= {label: 0.0 for label in sorted(listed - found.keys()) if label != _NONE}
        yield from (Fact("label", label, value) for label, value in found.items())

    def _numbers(self, row: Row) -> Iterator[Fact | Fault]:
        for name in ("ctr", "cpar"):
            text = self.cell(row, name)
            if text is None:
                continue
            try:
                value = ratio(text, self.table.decimal, percent=name in self.table.percent)
            except CellError:
                yield Fault("bad-value", f"{name} is no number with the stated decimal mark")
            else:
                yield Fact("measurement", name, value)
        text = self.cell(row, "edema")
        if text is not None:
            try:
                yield Fact("grade", "edema", grade(text))
            except CellError:
                yield Fault("bad-value", "the grade of edema is none of 0, 1, 2, 3")

    def _texts(self, row: Row) -> Iterator[Fact | Fault]:
        report = self.cell(row, "report")
        if report is not None:
            sections = report_texts(report)
            if not sections:
                yield Fault("empty-text", "the report has no text about the image")
            yield from (Fact("report", s.name, None, s.text) for s in sections)
        for field, section in (("findings_text", "findings"), ("impression", "impression")):
            text = self.cell(row, field)
            if text is not None:
                yield Fact("report", section, None, text)

    def _question(self, row: Row) -> Iterator[Fact | Fault]:
        question, answer = self.cell(row, "question"), row.get(self.table.columns.get("answer", ""))
        if question is None:
            return
        if not (answer or "").strip():
            yield Fault("empty-text", "the question has no answer")
            return
        assert answer is not None
        closed = answer.strip().lower() in _CLOSED
        kind = self.cell(row, "question_type") or ""
        yield Fact("qa", kind, float(closed), question, None, [answer.strip()])

    def _region(self, row: Row, size: tuple[int, int]) -> Iterator[Fact | Fault]:
        columns = self.table.columns
        read: Callable[[Row, tuple[int, int]], list[list[float]]]
        if "box" in columns:
            read = self._box_list
        elif all(side in columns for side in _CORNERS):
            read = self._corner_columns
        elif "mask" in columns:
            read = self._mask
        else:
            return
        phrase = self.cell(row, "phrase")
        if phrase is None and "phrase" not in columns and len(self.table.classes) == 1:
            phrase = self.table.classes[0]
        try:
            boxes = read(row, size)
        except CellError as error:
            yield Fault("bad-value", str(error))
            return
        label = None if phrase is None else self.label_of(phrase)[1]
        if not boxes:
            if label == _NONE:
                yield Fact("label", _NONE, 1.0)
            elif phrase is not None and "phrase" in columns:
                yield Fault("no-box", "the row names a phrase but has no box")
        elif phrase is None:
            yield Fault("empty-text", "the box has no phrase")
        else:
            yield Fact("region", label or phrase, None, phrase, boxes)

    def _frame(self, row: Row, size: tuple[int, int]) -> tuple[float, float]:
        """Return the width and height that pixels of boxes count in."""
        sides = [self.cell(row, name) for name in ("image_width", "image_height")]
        if sides[0] is None or sides[1] is None:
            return size
        across, down = (number(side, self.table.decimal) for side in sides if side)
        if across < 1 or down < 1:
            raise CellError("the size of the image must be positive")
        return across, down

    def _box_list(self, row: Row, size: tuple[int, int]) -> list[list[float]]:
        text = self.cell(row, "box")
        if text is None:
            return []
        try:
            found = numbers(text, self.table.decimal)
        except CellError:
            raise CellError("the box is no list of numbers") from None
        if len(found) % 4:
            raise CellError("a box must be four numbers")
        of = self._frame(row, size)
        return [self._corners(found[k : k + 4], size, of) for k in range(0, len(found), 4)]

    def _corner_columns(self, row: Row, size: tuple[int, int]) -> list[list[float]]:
        columns = self.table.columns
        ends = ("x2", "y2") if "x2" in columns else ("box_width", "box_height")
        cells = [self.cell(row, name) for name in (*_CORNERS, *ends)]
        stated = [text for text in cells if text is not None]
        if not stated:
            return []
        if len(stated) < len(cells):
            raise CellError("the box lacks some of its four numbers")
        try:
            found = [number(text, self.table.decimal) for text in stated]
        except CellError:
            raise CellError("a side of the box is no number with the stated decimal mark") from None
        return [self._corners(found, size, self._frame(row, size))]

    def _corners(
        self, values: list[float], size: tuple[int, int], of: tuple[float, float]
    ) -> list[float]:
        fraction = self.table.box_unit == "fraction"
        return corners(values, self.table.box_form, fraction=fraction, of=of, size=size)

    def _mask(self, row: Row, size: tuple[int, int]) -> list[list[float]]:
        text = self.cell(row, "mask")
        if text is None or text.strip() == "-1":  # SIIM writes -1 where nothing is masked
            return []
        width, height = (round(side) for side in self._frame(row, size))
        if width * height > _MOST_PIXELS:
            raise CellError("the mask is too large")
        runs = parse_runs(text.encode(), width * height)
        if runs is None:
            raise CellError("the mask is no list of run lengths inside the image")
        flat = np.zeros(width * height, bool)
        for first, end in runs.tolist():
            flat[first:end] = True
        by_column = self.table.runs == "columns"
        mask = flat.reshape((width, height)).T if by_column else flat.reshape((height, width))
        scale = (size[0] / width, size[1] / height)
        return [
            [x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1]]
            for x1, y1, x2, y2 in boxes_of(mask)
        ]


def require_fields(table: Table) -> None:
    """Check that fields that go together are all there.

    Raises:
        ImaxrayError: If one is missing.
    """
    have = table.columns
    together = [("question", "answer"), ("x1", "y1"), ("x2", "y2"), ("box_width", "box_height"),
                ("image_width", "image_height")]  # fmt: skip
    for first, second in together:
        if (first in have) != (second in have):
            there, missing = (first, second) if first in have else (second, first)
            raise ImaxrayError(
                f"Expected the field {missing} beside {there} in the table {table.file} of "
                f"source.yaml, but it is missing; add columns.{missing}, or remove "
                f"columns.{there}."
            )
    if "x1" in have and not {"x2", "box_width"} & have.keys():
        raise ImaxrayError(
            f"Expected x2 and y2, or box_width and box_height, beside x1 in the table {table.file} "
            "of source.yaml, but there are neither; add them, or remove x1 and y1."
        )
    if "box_width" in have and table.box_form == "xyxy":
        raise ImaxrayError(
            f"Expected box_form: xywh or cxcywh for the table {table.file} of source.yaml, because "
            "it states box_width, but it is xyxy; say what x1 and y1 are."
        )
