"""Reading the files of a release: found under either name, header first, every row numbered."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from imaxray._files import sha256
from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS, Boxes, conform
from imaxray.sources._shared.records import ReleaseFile

MAX_TABLE_BYTES = 20 * 2**30
"""Refuse to unpack a table beyond this (a gzip bomb, not a release)."""

# NotImplementedError, RuntimeError: a zip of an odd compression, or encrypted
_DAMAGE: Final = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError,
)  # fmt: skip
_MAX_HEADER = 2**20  # characters; a file without line breaks is not read whole
_FAR = 1e15
_MAX_SHOWN = 400  # characters of a file's own text in an error
_OUTSIDE = r"^[/\\]|^(?:\.[/\\]+)*[^/\\]*:|(?:^|[/\\])\.\.(?:[/\\]|$)"


def provenance(source: str, file: str) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Columns that say where each row stands: ``source``, ``file``, and the frame's own ``row``."""
    return pl.lit(source).alias("source"), pl.lit(file).alias("file"), pl.col("row")


def stated_by(origin: str, quality: str) -> tuple[pl.Expr, pl.Expr]:
    """Columns that say who stated the facts of all rows: ``origin`` and ``quality``."""
    return pl.lit(origin).alias("origin"), pl.lit(quality).alias("quality")


def require_root(root: Path, source: str) -> Path:
    """Return ``root`` if it is a folder.

    Raises:
        ImaxrayError: it is not.
    """
    if not root.is_dir():
        raise ImaxrayError(
            f"Expected the {source} release as a folder at {root}, but there is none; give the "
            "folder that holds the files as downloaded."
        )
    return root


def find_file(root: Path, candidates: Sequence[str], source: str) -> Path:
    """Return the first of ``candidates`` (paths inside the release) that exists under ``root``.

    Raises:
        ImaxrayError: none exists.
    """
    require_root(root, source)
    for candidate in candidates:
        path = root / candidate
        if path.is_file():
            return path
    raise ImaxrayError(
        f"Expected {' or '.join(candidates)} in the {source} release at {root}, but found none of "
        "them; download the file or correct the path."
    )


def relative(path: Path, root: Path) -> str:
    """``path`` inside the release, with forward slashes."""
    return path.relative_to(root).as_posix()


def exists(path: Path) -> bool:
    """Whether ``path`` is a file; False too where no file can have that name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False


def is_inside(path: str) -> bool:
    """Whether a path from a source table stays inside its release.

    Example:
        >>> is_inside("files/p10/image.jpg"), is_inside("../secret.jpg"), is_inside("/etc/passwd")
        (True, False, False)
    """
    pure = PurePosixPath(path.replace("\\", "/"))
    drive = bool(pure.parts) and ":" in pure.parts[0]  # C:/x leaves the release on Windows
    return not pure.is_absolute() and not drive and ".." not in pure.parts


def leaves_release(column: str) -> pl.Expr:
    """The opposite of :func:`is_inside`, for a column of paths."""
    return pl.col(column).str.contains(_OUTSIDE)


def release_file(path: Path, root: Path, source: str, rows: int) -> ReleaseFile:
    """Describe a file that was read: its name inside the release, rows and fingerprint."""
    return ReleaseFile(source, relative(path, root), rows, sha256(path))


def read_header(path: Path) -> list[str]:
    """First line of a table, plain, .gz or .zip; an empty list for an empty file."""
    try:
        with _opened(path) as binary:
            stream = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            line = stream.readline(_MAX_HEADER)
        return next(csv.reader(io.StringIO(line)), [])
    except (*_DAMAGE, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path) from error


def check_columns(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    """Raise a one-sentence error unless ``header`` holds every name of ``required``."""
    missing = [name for name in required if name not in header]
    if missing:
        raise ImaxrayError(
            f"Expected the column {', '.join(missing)} in {path}, but its header is "
            f"{shown(','.join(header)) or 'empty'}; check that it is the file of the stated "
            "release."
        )


def shown(text: str) -> str:
    """What a file says, fit for one line of an error: printable, and cut where it is long."""
    line = "".join(c if c.isprintable() else "?" for c in text[:_MAX_SHOWN])
    return f"{line} …" if len(text) > _MAX_SHOWN else line


def read_csv(path: Path, required: Sequence[str], *, separator: str = ",") -> pl.DataFrame:
    """Read a table, plain, .gz or .zip, as strings, with a 1-based ``row`` column in front.

    Blank cells are null. Extra columns stay. Short rows are filled with null, long ones cut.

    Raises:
        ImaxrayError: a required column is missing, there is no data row, or the file is damaged.
    """
    check_columns(path, read_header(path), required)
    try:
        if path.suffix in (".gz", ".zip"):
            with _opened(path) as stream:
                data = stream.read(MAX_TABLE_BYTES + 1)
            if len(data) > MAX_TABLE_BYTES:
                raise _damaged(path)
        else:
            data = path.read_bytes()
        frame = pl.read_csv(
            data,
            separator=separator,
            infer_schema=False,
            truncate_ragged_lines=True,
            encoding="utf8-lossy",
        )
    except (*_DAMAGE, pl.exceptions.PolarsError) as error:
        raise _damaged(path) from error
    check_columns(path, frame.columns, required)  # a damaged header may split otherwise here
    if frame.is_empty():
        raise ImaxrayError(
            f"Expected at least one data row in {path}, but the table is empty; download it again."
        )
    frame = frame.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))
    return frame.with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64))


def reject(
    rows: pl.DataFrame, *, source: str, file: str, key: str | pl.Expr, code: str, message: str
) -> pl.DataFrame:
    """Turn ``rows`` (with a ``row`` column) into rejects that carry ``code`` and ``message``.

    ``key`` names the column, or is the expression, of an id that finds the row again.
    """
    key_expr = pl.col(key) if isinstance(key, str) else key
    return conform(
        rows.select(
            *provenance(source, file),
            key_expr.cast(pl.String).alias("key"),
            pl.lit(code).alias("code"),
            pl.lit(message).alias("message"),
        ),
        REJECTS,
    )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a table; of a zip, those of the only CSV in it."""
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


def _damaged(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable table at {path}, but it is damaged or no CSV; compare its checksum "
        "with the release's SHA256SUMS.txt and download it again."
    )


def numeric(column: str) -> pl.Expr:
    """A text column as float; null where it is no number, or none that a release can mean."""
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.abs() < _FAR).then(value)  # NaN and infinities are none either


def one_box(x1: str | pl.Expr, y1: str | pl.Expr, x2: str | pl.Expr, y2: str | pl.Expr) -> pl.Expr:
    """Four columns of corners (floats) as a list with one box."""
    return pl.concat_arr(x1, y1, x2, y2).reshape((-1, 1, 4)).cast(Boxes)


def box_lists(corners: NDArray[np.float64], counts: NDArray[np.int64]) -> pl.Series:
    """Corners, four a box, as lists with ``counts`` boxes each."""
    inner = pa.LargeListArray.from_arrays(
        np.arange(0, len(corners) + 1, 4, dtype=np.int64), pa.array(corners, pa.float64())
    )
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return pl.Series("boxes", pa.LargeListArray.from_arrays(ends, inner), dtype=Boxes)


def has_area(x: str, y: str, width: str, height: str) -> pl.Expr:
    """Whether left, top, width, height (floats) still span an area as corners; null is none."""
    across = pl.col(x) + pl.col(width) > pl.col(x)
    down = pl.col(y) + pl.col(height) > pl.col(y)
    return (across & down).fill_null(False)


def xyxy_from_xywh(x: str, y: str, width: str, height: str) -> pl.Expr:
    """Columns left, top, width, height (floats) as a list with one box of corners."""
    left, top = pl.col(x), pl.col(y)
    return one_box(left, top, left + pl.col(width), top + pl.col(height))
