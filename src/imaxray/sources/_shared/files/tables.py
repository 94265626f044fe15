"""Checks the headers of tables and reads them with numbered rows."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
import polars as pl

from imaxray._common.files import require_file
from imaxray._common.names import columns_shown
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.csv_rows import (
    FAULTS,
    NOT_TEXT,
    NUL,
    SOUND,
    RowScanner,
    judge_text,
    sound_bytes,
    without_blank_end,
)
from imaxray.sources._checks.reading import DEFAULT_ENCODING, Fault, current_encoding, note

MAX_TABLE_BYTES = 20 * 2**30
"""A table that unpacks to more than this is refused; it is a gzip bomb and no release."""

MAX_TABLE_RATIO: Final = 100
"""A table may unpack to this many times its size; tables of releases need 5 to 20 times."""

MAX_TABLE_ROWS: Final = 200_000_000
"""A table with more rows is refused; the largest releases have some million."""

_SMALL_TABLE: Final = 64 * 2**20  # bytes that any table may unpack to, however small it is

# What unpacking a table may raise: NotImplementedError stands for an unknown compression of a
# zip, and RuntimeError for encryption.
DAMAGE: Final = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError,
)  # fmt: skip
_MAX_HEADER = 2**20  # bytes, so that a file without line breaks is not read whole
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # those of UTF-32 begin alike
_LINE_ENDS: Final = re.compile(rb"[\r\n]+")
_ASCII: Final = '\n\r",;\t0aZ'


def read_header(path: Path, *, separator: str = ",") -> list[str]:
    """Return the column names of a table (plain, .gz or .zip); an empty file gives no name.

    Raises:
        ImaxrayError: If the file is damaged, or if its header is not text in the encoding of the
            release.
    """
    try:
        with opened_table(path) as binary:
            head = binary.read(_MAX_HEADER)
        return _header(_plain(head, path, cut=True), path, separator)[0]
    except DAMAGE as error:
        raise damaged_table(path) from error


def check_columns(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    """Check that ``header`` holds every name of ``required``.

    Raises:
        ImaxrayError: If a required column is missing.
    """
    missing = [name for name in required if name not in header]
    if missing:
        raise ImaxrayError(
            f"Expected the column {', '.join(missing)} in {path}, but its header is "
            f"{columns_shown(header)}; check that it is the file of the stated "
            "release."
        )


def read_csv(
    path: Path, required: Sequence[str], *, separator: str = ",", strict: bool = False
) -> pl.DataFrame:
    """Read a table (plain, .gz or .zip) as strings, with row numbers from 1 in the column ``row``.

    Blank cells become null. Columns that are not required are kept. A row that cannot be read as it
    stands is left out and becomes a reject of the source that is being read: a row with too few or
    too many cells (``ragged-row``), with a misplaced quotation mark (``lone-quote``), with bytes
    that are no text in the encoding of the release (``bad-encoding``) or with a NUL character
    (``bad-character``). Row numbers count such rows, so a number names the same row in any case.

    No more is unpacked than MAX_TABLE_RATIO times the size of the file.

    Args:
        path: Path of the table.
        required: Columns that it must have.
        separator: Character between two cells.
        strict: Whether a row that cannot be read is an error, for tables without data rows.

    Raises:
        ImaxrayError: If a required column is missing, the table has no data row, the file is
            damaged, or it unpacks to more than a table of a release does; outside the methods of a
            source, also if a row cannot be read.
    """
    check_columns(path, read_header(path, separator=separator), required)
    encoding = current_encoding()
    try:
        if path.suffix in (".gz", ".zip"):
            most = max(_SMALL_TABLE, MAX_TABLE_RATIO * path.stat().st_size)
            most = min(most, MAX_TABLE_BYTES)
            with opened_table(path) as stream:
                data = stream.read(most + 1)
            if len(data) > most:
                raise _too_large(path, f"unpacks to more than {most:,} bytes")
        else:
            data = path.read_bytes()
    except DAMAGE as error:
        raise damaged_table(path) from error
    if data.count(b"\n") > MAX_TABLE_ROWS + 1:
        raise _too_large(path, f"has more than {MAX_TABLE_ROWS:,} rows")
    data = _plain(data, path)
    header, start = _header(data, path, separator)
    check_columns(path, header, required)
    twice = [name for name in required if header.count(name) > 1]
    if twice:
        raise ImaxrayError(
            f"Expected each column of {path} once, but {', '.join(twice)} stands there several "
            "times; check that it is the file of the stated release."
        )
    named = max((k + 1 for k, name in enumerate(header) if name.strip()), default=len(header))
    rows = RowScanner(len(header), separator, fewest=named).scan(data, start)
    rows = judge_text(data, without_blank_end(data, rows), _byte_encoding(encoding))
    count, bad = len(rows.ends), np.flatnonzero(rows.judgements != SOUND)
    if count == 0:
        raise ImaxrayError(
            f"Expected at least one data row in {path}, but the table is empty; check that it is "
            "the whole file of the stated release."
        )
    faults = [(int(k) + 1, *FAULTS[int(rows.judgements[k])]) for k in bad]
    if not strict:
        note(path, count, faults)
    elif faults:
        raise ImaxrayError(
            f"Expected sound rows in {path}, but {faults[0][2]} (data row {faults[0][0]}); check "
            "that it is the file of the stated release."
        )
    numbers = pl.Series("row", np.flatnonzero(rows.judgements == SOUND) + 1, dtype=pl.Int64)
    names = _distinct(["row", *header])[1:]
    if len(bad) == count:
        return pl.DataFrame([numbers]).with_columns(
            pl.lit(None, dtype=pl.String).alias(name) for name in names
        )
    end, codec = int(rows.ends[-1]), _byte_encoding(encoding)
    whole = not len(bad) and codec == DEFAULT_ENCODING  # then the bytes are not copied
    if whole:
        body = data if end == len(data) else data[:end]
    else:
        # the first line says how many columns there are, also if all rows lack the unnamed ones
        first = (separator.join("x" * len(header)) + "\n").encode()
        body = b"".join((first, *sound_bytes(data, rows, codec)))
    try:
        frame = pl.read_csv(
            body,
            separator=separator,
            has_header=False,
            new_columns=names,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError as error:
        raise damaged_table(path) from error
    frame = frame.slice(1)
    if frame.height != len(numbers):  # Polars and the scanner must agree about every row
        raise damaged_table(path)
    frame = frame.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))
    return frame.insert_column(0, numbers)


def read_lines(path: Path, ends: re.Pattern[bytes] = _LINE_ENDS) -> list[str | None]:
    """Return the lines of a text file that are not blank, without the blanks around them.

    A line that is no text in the encoding of the release, or that holds a NUL character, is None,
    and becomes a reject of the source that is being read.

    Args:
        path: Path of the file.
        ends: Pattern of what separates two lines.
    """
    encoding = current_encoding()
    data = _plain(path.read_bytes(), path)
    lines: list[str | None] = []
    faults: list[Fault] = []
    for line in filter(bytes.strip, ends.split(data)):
        try:
            text = line.decode(_byte_encoding(encoding)).strip()
            kind = NUL if "\0" in text else SOUND
        except UnicodeDecodeError:
            kind = NOT_TEXT
        lines.append(text if kind == SOUND else None)
        if kind != SOUND:
            faults.append((len(lines), *FAULTS[kind]))
    note(path, len(lines), faults)
    return lines


@contextmanager
def opened_table(path: Path) -> Iterator[IO[bytes]]:
    """Open the bytes of a table; a zip must hold exactly one CSV file, which is opened."""
    require_file(path)
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            yield cast(IO[bytes], stream)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".csv")]
            own = [name for name in members if not name.startswith("__MACOSX/")]
            if len(own) != 1:
                raise zipfile.BadZipFile(f"{len(own)} tables")
            with archive.open(own[0]) as stream:
                yield stream
    else:
        with path.open("rb") as stream:
            yield stream


def _plain(data: bytes, path: Path, *, cut: bool = False) -> bytes:
    """Return the bytes of a table without byte order mark, with ASCII characters as single bytes.

    Args:
        data: Bytes of the table.
        path: Its path, for errors.
        cut: Whether ``data`` is only the beginning of the table.
    """
    encoding = current_encoding()
    if _byte_encoding(encoding) == DEFAULT_ENCODING:
        if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
            try:
                decoder = codecs.getincrementaldecoder(encoding)()
                data = decoder.decode(data, final=not cut).encode()
            except UnicodeError as error:  # UTF-16 without its mark raises this
                raise _no_text(path) from error
        elif data.startswith(_WIDE_MARKS):
            raise _no_text(path)
        data = data.removeprefix(codecs.BOM_UTF8)
    # Old Mac programs end lines by a carriage return alone.
    return data.replace(b"\r", b"\n") if b"\r" in data and b"\n" not in data else data


def _byte_encoding(encoding: str) -> str:
    """Return an encoding with ASCII as single bytes: ``encoding``, or UTF-8 in place of others."""
    name = codecs.lookup(encoding).name
    try:
        single = _ASCII.encode(encoding) == _ASCII.encode("ascii")
    except UnicodeEncodeError:
        single = False
    return name if single else DEFAULT_ENCODING


def _header(data: bytes, path: Path, separator: str) -> tuple[list[str], int]:
    """Return the column names and the position of the first data row."""
    if not data:
        return [], 0
    end, cells = RowScanner(1, separator).cells_of(data, 0)
    try:
        line = codecs.decode(data[:end], _byte_encoding(current_encoding())).rstrip("\r\n")
        rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=separator))
    except UnicodeDecodeError as error:
        raise _no_text(path) from error
    except csv.Error as error:
        raise damaged_table(path) from error
    if cells == 0 or len(rows) > 1:
        raise damaged_table(path)
    return (rows[0] if rows else []), end


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, with a number after each one that stands there already."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        distinct.append(f"{name}_duplicated_{seen[name] - 1}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return distinct


def _no_text(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a table in the encoding {current_encoding()} at {path}, but its header is not; "
        "name the encoding of the release in the option encoding."
    )


def damaged_table(path: Path) -> ImaxrayError:
    """Return the error for a table that cannot be unpacked or is no CSV file."""
    return ImaxrayError(
        f"Expected a readable table at {path}, but it is damaged or is no CSV file; compare its "
        "checksum with the release's SHA256SUMS.txt."
    )


def _too_large(path: Path, why: str) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a table of a release at {path}, but it {why}; compare its checksum with the "
        "release's SHA256SUMS.txt and download it again."
    )
