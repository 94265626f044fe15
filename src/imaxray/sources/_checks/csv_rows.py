"""Separates the sound rows of a CSV table from the rows that cannot be read as they stand.

A row is sound if it has as many cells as the header, if its quotation marks open and close at the
edges of cells, if it is text in the stated encoding and if it holds no NUL character. Nothing is
repaired: a row that is not sound gets a code, and the rows after it are read as if it were not
there. In particular a quotation mark that is never closed costs its own line only.

Blocks of some megabytes are judged by NumPy, without a loop over rows. Only the neighbourhood of a
misplaced quotation mark is read row by row.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SOUND: Final = 0
TOO_FEW: Final = 1
TOO_MANY: Final = 2
LONE_QUOTE: Final = 3
NOT_TEXT: Final = 4
NUL: Final = 5

FAULTS: Final = {
    TOO_FEW: ("ragged-row", "the row has fewer cells than the header"),
    TOO_MANY: ("ragged-row", "the row has more cells than the header"),
    LONE_QUOTE: ("lone-quote", "a quotation mark is not closed, or stands inside a cell"),
    NOT_TEXT: ("bad-encoding", "the row is not text in the encoding of the release"),
    NUL: ("bad-character", "the row holds a NUL character, or a carriage return within a cell"),
}
"""Maps the judgement of a row to the code and the message of its reject."""

_BLOCK: Final = 4 * 2**20  # bytes judged at a time
_NEAR: Final = 2**18  # bytes judged at a time after a misplaced quotation mark
_BURST: Final = 256  # rows read one by one after a misplaced quotation mark
_WINDOW: Final = 2**20  # bytes decoded at a time
_WORD: Final = re.compile(rb"[0-9A-Za-z]+")
_QUOTED: Final = re.compile(rb'"[^"]*+"')
_NEWLINE, _RETURN, _QUOTE = b"\n"[0], b"\r"[0], b'"'[0]

Positions = NDArray[np.int64]
Judgements = NDArray[np.uint8]


@dataclass(frozen=True)
class Judged:
    """Holds where each row ends, and what is wrong with it.

    Attributes:
        start: Position of the first row.
        ends: Position after the line break of each row; each row starts where the one before ends.
        judgements: SOUND, or a key of FAULTS, for each row.
    """

    start: int
    ends: Positions
    judgements: Judgements


class RowScanner:
    """Finds the rows of a table and judges their cells and quotation marks.

    Args:
        cells: Number of cells of the header.
        fewest: Number of cells that a row must have; default: as many as the header. It is less
            where the last columns have no name, as in ChestX-ray14's table of boxes.
        separator: Character between two cells, of one byte.
    """

    def __init__(self, cells: int, separator: str = ",", fewest: int | None = None) -> None:
        self._cells = cells
        self._fewest = cells if fewest is None else fewest
        self._separator = separator.encode()
        mark = re.escape(self._separator)
        cell = rb'(?:"(?:[^"]++|"")*+"|[^"\n' + mark + rb"]*+)"
        self._row = re.compile(cell + rb"(?:" + mark + cell + rb")*+\r?(?:\n|\Z)")

    def scan(self, data: bytes, at: int = 0, *, whole: bool = True) -> Judged:
        """Judge the rows of ``data`` from the position ``at`` on.

        Args:
            data: Bytes of the table.
            at: Position of the first row.
            whole: Whether ``data`` ends where the table ends. If not, rows at the end that may
                continue are not judged.
        """
        start, stop = at, len(data)
        if not whole:
            stop = data.rfind(b"\n", at) + 1
        block = _BLOCK
        ends: list[Positions] = [np.empty(0, np.int64)]
        judgements: list[Judgements] = [np.empty(0, np.uint8)]
        while at < stop:
            found, judged, certain = self._block(data, at, _line_end(data, at + block, stop), stop)
            ends.append(found)
            judgements.append(judged)
            at = int(found[-1]) if len(found) else at
            if certain:
                block = min(4 * block, _BLOCK)
                continue
            near, judged_near = self._one_by_one(data, at, stop, whole)
            if not len(near):  # only more data can tell whether the quotation mark is closed
                break
            ends.append(near)
            judgements.append(judged_near)
            at, block = int(near[-1]), _NEAR
        return Judged(start, np.concatenate(ends), np.concatenate(judgements))

    def cells_of(self, data: bytes, at: int) -> tuple[int, int]:
        """Return where the row at ``at`` ends and how many cells it has; 0 cells: it is no row."""
        match = self._row.match(data, at)
        if match is None:
            return _line_end(data, at, len(data)), 0
        bare = _QUOTED.sub(b"", match.group())
        return match.end(), bare.count(self._separator) + 1

    def goes_on(self, data: bytes, at: int) -> bool:
        """Return whether the line after the one at ``at`` starts with a first cell like it."""
        first, _, rest = data[at:].partition(b"\n")
        form = _form(first, self._separator)
        return bool(form) and _form(rest.partition(b"\n")[0], self._separator) == form

    def _block(
        self, data: bytes, at: int, stop: int, last: int
    ) -> tuple[Positions, Judgements, bool]:
        """Judge the rows of a block; False: the row after them must be looked at on its own."""
        view = np.frombuffer(data, np.uint8)[at:stop]
        breaks, marks = view == _NEWLINE, view == self._separator[0]
        if data.find(b'"', at, stop) < 0:
            ends = np.flatnonzero(breaks) + 1
            if stop == last and (not len(ends) or ends[-1] != len(view)):
                ends = np.append(ends, len(view))
            return ends + at, self._judge(ends, marks), True
        quotes = np.flatnonzero(view == _QUOTE)
        inside = (np.add.accumulate((view == _QUOTE).view(np.uint8), dtype=np.uint8) & 1) == 1
        ends = np.flatnonzero(breaks & ~inside) + 1
        open_end = len(quotes) % 2 == 1
        if stop == last and not open_end and (not len(ends) or ends[-1] != len(view)):
            ends = np.append(ends, len(view))
        wrong = self._first_misplaced(view, quotes)
        swallowing = self._first_swallowing(data, at, view, breaks, inside, marks, ends)
        limit = min(wrong, swallowing)
        certain = limit == len(view) and (not open_end or len(ends) > 0)
        ends = ends[: np.searchsorted(ends, limit, side="right")]
        return ends + at, self._judge(ends, marks & ~inside), certain

    def _judge(self, ends: Positions, marks: NDArray[np.bool_]) -> Judgements:
        """Judge the rows that end at ``ends`` by the number of their separators."""
        if not len(ends):
            return np.empty(0, np.uint8)
        here = marks[: ends[-1]]
        # A running count of one byte is fast; it is exact unless a row has 256 separators or more.
        upto = np.add.accumulate(here.view(np.uint8), dtype=np.uint8)[ends - 1]
        count = np.diff(upto, prepend=np.uint8(0)).astype(np.int64) + 1
        if count.sum() - len(ends) != np.count_nonzero(here):
            exact = np.searchsorted(np.flatnonzero(here), ends)
            count = np.diff(exact, prepend=0) + 1
        judged = np.zeros(len(ends), np.uint8)
        judged[count < self._fewest] = TOO_FEW
        judged[count > self._cells] = TOO_MANY
        return judged

    def _first_misplaced(self, view: NDArray[np.uint8], quotes: Positions) -> int:
        """Return the position of the first quotation mark that is not at the edge of a cell.

        If there is none, the length of the block is returned.
        """
        opening, closing = quotes[0::2], quotes[1::2]
        before = view[np.maximum(opening - 1, 0)]
        starts = (opening == 0) | (before == _NEWLINE) | (before == self._separator[0])
        starts |= before == _QUOTE  # two marks in a quoted cell stand for one
        size = len(view)
        after = view[np.minimum(closing + 1, size - 1)]
        beyond = view[np.minimum(closing + 2, size - 1)]
        returns = (after == _RETURN) & ((beyond == _NEWLINE) | (closing + 2 >= size))
        finishes = (closing + 1 >= size) | (after == _NEWLINE) | (after == self._separator[0])
        finishes |= (after == _QUOTE) | returns
        wrong = [positions[~good][:1] for positions, good in
                 ((opening, starts), (closing, finishes))]  # fmt: skip
        return int(min((int(found[0]) for found in wrong if len(found)), default=size))

    def _first_swallowing(
        self,
        data: bytes,
        at: int,
        view: NDArray[np.uint8],
        breaks: NDArray[np.bool_],
        inside: NDArray[np.bool_],
        marks: NDArray[np.bool_],
        ends: Positions,
    ) -> int:
        """Return the start of the first row that swallows other rows, or the block's length."""
        lines = np.flatnonzero(breaks)
        within = inside[lines]
        if not within.any() or self._cells < 2:
            return len(view)
        # Only a line after a line break within a cell can be a row that is swallowed.
        after = np.flatnonzero(within)
        stops = np.append(lines, len(view))[after + 1]
        upto = np.searchsorted(np.flatnonzero(marks), np.stack([lines[after], stops]))
        commas = upto[1] - upto[0]
        alike = after[(commas >= self._fewest - 1) & (commas < self._cells)]
        for row in np.unique(np.searchsorted(ends, lines[alike], side="right")):
            first = int(ends[row - 1]) if row else 0
            final = int(ends[row]) if row < len(ends) else len(view)
            if self._swallows(data, at + first, at + final):
                return first
        return len(view)

    def _swallows(self, data: bytes, start: int, end: int) -> bool:
        """Return whether a row of several lines holds a line that is a row of the table itself.

        Such a line has as many cells as the header, and its first cell is formed like the first
        cell of the row, for example a number of any length.
        """
        first, *others = data[start:end].rstrip(b"\r\n").split(b"\n")
        # A first cell of several lines says nothing about the form of the other first cells.
        form = _form(first, self._separator) if self._separator in first else b""
        return bool(form) and any(
            self._fewest - 1 <= line.count(self._separator) < self._cells
            and b'"' not in line.partition(self._separator)[0]
            and _form(line, self._separator) == form
            for line in others
        )

    def _one_by_one(
        self, data: bytes, at: int, stop: int, whole: bool
    ) -> tuple[Positions, Judgements]:
        ends: list[int] = []
        judged: list[int] = []
        while at < stop and len(ends) < _BURST:
            end, cells = self.cells_of(data, at)
            line = _line_end(data, at, len(data))
            unfinished = cells > 0 and end == len(data) and not data.endswith(b"\n")
            if not whole and (unfinished or (cells == 0 and data.count(b'"', at) % 2)):
                break
            if cells == 0 or (end > line and self._cells > 1 and self._swallows(data, at, end)):
                end, judgement = line, LONE_QUOTE
            elif not self._fewest <= cells <= self._cells:
                judgement = TOO_FEW if cells < self._fewest else TOO_MANY
            else:
                judgement = SOUND
            ends.append(end)
            judged.append(judgement)
            at = end
        return np.array(ends, np.int64), np.array(judged, np.uint8)


def judge_text(data: bytes, rows: Judged, encoding: str) -> Judged:
    """Judge also whether each sound row is text in ``encoding`` and holds no NUL character.

    Args:
        data: Bytes of the table.
        rows: Rows that :meth:`RowScanner.scan` found in ``data``.
        encoding: Name of an encoding in which ASCII characters are single bytes.
    """
    judgements = rows.judgements.copy()
    last = int(rows.ends[-1]) if len(rows.ends) else rows.start
    if data.find(b"\0", rows.start, last) >= 0:
        nul = np.flatnonzero(np.frombuffer(data, np.uint8)[rows.start : last] == 0) + rows.start
        holding = np.unique(np.searchsorted(rows.ends, nul, side="right"))
        judgements[holding[judgements[holding] == SOUND]] = NUL
    if data.count(b"\r") != data.count(b"\r\n"):
        for row in _broken(data, rows):
            if judgements[row] == SOUND:
                judgements[row] = NUL
    if not data.isascii():
        for row in _undecodable(data, rows, encoding):
            if judgements[row] == SOUND:
                judgements[row] = NOT_TEXT
    return Judged(rows.start, rows.ends, judgements)


def sound_bytes(data: bytes, rows: Judged, encoding: str) -> Iterator[bytes]:
    """Yield the sound rows as UTF-8, in pieces that hold whole rows."""
    sound = np.concatenate([[False], rows.judgements == SOUND, [False]])
    turns = np.flatnonzero(sound[1:] != sound[:-1]).reshape(-1, 2)
    starts = np.concatenate([[rows.start], rows.ends])
    same = codecs.lookup(encoding).name == "utf-8"
    for first, end in turns:
        if same:
            yield data[int(starts[first]) : int(starts[end])]
            continue
        for low, high in _windows(starts, int(first), int(end)):
            yield codecs.decode(data[int(starts[low]) : int(starts[high])], encoding).encode()


def without_blank_end(data: bytes, rows: Judged) -> Judged:
    """Return the rows without the blank lines at the end of the table, which are no rows."""
    last = len(rows.ends)
    while last and not data[int(rows.ends[last - 2]) if last > 1 else rows.start :
                            int(rows.ends[last - 1])].strip(b"\r\n"):  # fmt: skip
        last -= 1
    return Judged(rows.start, rows.ends[:last], rows.judgements[:last])


def _line_end(data: bytes, at: int, stop: int) -> int:
    """Return the position after the first line break at or after ``at``, at most ``stop``."""
    found = data.find(b"\n", at, stop)
    return stop if found < 0 else found + 1


def _form(line: bytes, separator: bytes) -> bytes:
    """Return the first cell with a 9 for each word with a digit and an a for each other word."""
    cell = line.partition(separator)[0].strip().strip(b'"')
    return _WORD.sub(lambda word: b"a" if word.group().isalpha() else b"9", cell)


def _windows(starts: Positions, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that hold at most _WINDOW bytes, or one row."""
    while first < end:
        high = int(np.searchsorted(starts, starts[first] + _WINDOW, side="right")) - 1
        high = min(max(high, first + 1), end)
        yield first, high
        first = high


def _broken(data: bytes, rows: Judged) -> Iterator[int]:
    """Yield the rows with a carriage return, outside quotation marks, that ends no line.

    Some parsers take it for the end of a row and others for a character.
    """
    view = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(view[:-1] == _RETURN)
    lone = returns[view[returns + 1] != _NEWLINE]
    starts = np.concatenate([[rows.start], rows.ends])
    for row in np.unique(np.searchsorted(rows.ends, lone[lone >= rows.start], side="right")):
        if row < len(rows.ends):
            bare = _QUOTED.sub(b"", data[int(starts[row]) : int(starts[row + 1])])
            if b"\r" in bare.rstrip(b"\n").removesuffix(b"\r"):
                yield int(row)


def _undecodable(data: bytes, rows: Judged, encoding: str) -> Iterator[int]:
    """Yield the numbers, from 0, of the rows that are not text in ``encoding``."""
    decode = codecs.lookup(encoding).decode
    starts = np.concatenate([[rows.start], rows.ends])
    view = memoryview(data)
    for low, high in _windows(starts, 0, len(rows.ends)):
        at, stop = int(starts[low]), int(starts[high])
        while at < stop:
            try:
                decode(view[at:stop], "strict")
                break
            except UnicodeDecodeError as error:
                row = int(np.searchsorted(rows.ends, at + error.start, side="right"))
                yield row
                at = int(rows.ends[row])
