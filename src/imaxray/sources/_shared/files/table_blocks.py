"""Reads tables that are too large for memory block by block, by the same rules as whole tables."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError
from imaxray.sources._checks.csv_rows import (
    FAULTS,
    LONE_QUOTE,
    SOUND,
    Judged,
    RowScanner,
    judge_text,
    sound_bytes,
    without_blank_end,
)
from imaxray.sources._checks.reading import DEFAULT_ENCODING, Fault
from imaxray.sources._shared.files.tables import (
    DAMAGE,
    damaged_table,
    opened_table,
    read_header,
)

BLOCK_BYTES: Final = 4 * 2**20
"""Number of bytes of a table that are parsed at a time; a row has at most about 100 KB."""


@dataclass(frozen=True)
class Block:
    """Holds some rows of a table.

    Attributes:
        cells: Arrow table of the wanted columns as bytes, one row for each sound row.
        numbers: Number of each of these rows in the table, from 1.
        faults: Rows that cannot be read.
        last: Number of the last row of the block.
    """

    cells: Any
    numbers: NDArray[np.int64]
    faults: list[Fault]
    last: int


def read_blocks(path: Path, wanted: Sequence[str], block_bytes: int) -> Iterator[Block]:
    """Yield the rows of a UTF-8 table (plain or .gz), some megabytes at a time.

    Args:
        path: Path of the table.
        wanted: Columns that are needed.
        block_bytes: Number of bytes that are parsed at a time; no row may be longer.

    Raises:
        ImaxrayError: If the file is damaged, or if a row is longer than a block.
    """
    header = read_header(path)
    scanner = RowScanner(len(header))
    last, rest, start = 0, b"", True
    try:
        with opened_table(path) as stream:
            while True:
                fresh = stream.read(block_bytes)
                data = rest + fresh
                at = 0
                if start:
                    data = data.removeprefix(b"\xef\xbb\xbf")
                    at, _ = scanner.cells_of(data, 0)
                    start = False
                rows = scanner.scan(data, at, whole=not fresh)
                if fresh and not len(rows.ends) and len(data) - at > 2 * block_bytes:
                    if not scanner.goes_on(data, at):
                        raise _too_long(path, block_bytes)
                    end = np.array([data.index(b"\n", at) + 1], np.int64)
                    rows = Judged(at, end, np.array([LONE_QUOTE], np.uint8))
                if not fresh:
                    rows = without_blank_end(data, rows)
                rows = judge_text(data, rows, DEFAULT_ENCODING)
                if len(rows.ends):
                    yield _block(data, rows, header, wanted, last)
                last += len(rows.ends)
                if not fresh:
                    return
                rest = data[int(rows.ends[-1]) if len(rows.ends) else at :]
    except DAMAGE as error:
        raise damaged_table(path) from error


def _too_long(path: Path, block_bytes: int) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable table at {path}, but it is damaged or has a row of more than "
        f"{block_bytes >> 20} MiB; compare its checksum with the release's SHA256SUMS.txt."
    )


def _block(
    data: bytes, rows: Judged, header: Sequence[str], wanted: Sequence[str], before: int
) -> Block:
    import pyarrow as pa  # imported late, because few sources need it
    from pyarrow import csv

    bad = np.flatnonzero(rows.judgements != SOUND)
    sound = np.flatnonzero(rows.judgements == SOUND)
    types = dict.fromkeys(wanted, pa.binary())
    if len(sound):
        body = b"".join(sound_bytes(data, rows, DEFAULT_ENCODING))
        cells = csv.read_csv(
            io.BytesIO(body),
            read_options=csv.ReadOptions(
                column_names=list(header), block_size=len(body) + 1, use_threads=False
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted), column_types=types,
                check_utf8=False,  # `judge_text` has checked it
            ),
        )  # fmt: skip
    else:
        cells = pa.table({name: pa.array([], pa.binary()) for name in wanted})
    return Block(
        cells,
        sound + before + 1,
        [(int(k) + before + 1, *FAULTS[int(rows.judgements[k])]) for k in bad],
        before + len(rows.ends),
    )
