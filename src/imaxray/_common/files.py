"""Writes files so that each one appears as a whole or not at all, and reads tables by exact path.

Content is written to a temporary path beside the target, flushed to the disk, and renamed. If the
process is killed or the disk is full, the target keeps its earlier content (or stays absent); it
never holds a part of the new content.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imaxray._common.processes import has_ended, machine, started
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    import polars as pl

PART: Final = ".part"
"""Suffix of a file or folder that is not finished."""


_ASIDE: Final = re.compile(r"\.(?P<of>.+)\.(?P<writer>[0-9a-f]{20})[0-9a-f]{12}\.part", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, whose file becomes ``path`` when the block ends without an error.

    Several processes may write the same file at the same time, each to a path of its own. A killed
    process leaves its temporary file; the next process that writes the same file on the same
    machine removes it, and :func:`remove_unfinished` finds it.

    Args:
        path: The final file.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.csv"
        >>> with whole_file(target) as aside:
        ...     _ = aside.write_text("1,2")
        ...     target.exists()
        False
        >>> target.read_text()
        '1,2'
    """
    _remove_abandoned(path)
    aside = path.with_name(f".{path.name}.{_mine()}{secrets.token_hex(6)}{PART}")
    try:
        yield aside
        flush(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _mine() -> str:
    """Return 20 hexadecimal digits that stand for this process: machine, start and number."""
    return f"{_digits(machine())}{_digits(started(os.getpid()))}{os.getpid():08x}"


def _digits(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()[:6]


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes of this machine left of ``path``."""
    here = _digits(machine())
    with suppress(OSError), os.scandir(path.parent) as inside:
        for item in inside:
            found = _ASIDE.fullmatch(item.name)
            if found and found["of"] == path.name and found["writer"].startswith(here):
                process = int(found["writer"][12:], 16)
                since = started(process)
                if has_ended(process, since) or _digits(since) != found["writer"][6:12]:
                    Path(item.path).unlink()


def is_unfinished(name: str) -> bool:
    """Tell whether a name is one that :func:`whole_file` gives to an unfinished file."""
    return _ASIDE.fullmatch(name) is not None


def remove_unfinished(folders: Iterable[Path]) -> None:
    """Remove the files in these folders that killed processes did not finish."""
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                if is_unfinished(path.name) and not path.is_dir():
                    path.unlink(missing_ok=True)


def require_file(path: Path) -> None:
    """Check that reading a path comes to an end; a missing file or a folder is left to the reader.

    Reading a named pipe waits for a writer that may never come, and a device such as ``/dev/zero``
    never ends. A pipe that the shell has opened, as in ``<(command)``, has a writer.

    Args:
        path: Path that a user names, or that lies in a folder of a user.

    Raises:
        ImaxrayError: There is a named pipe, a socket or a device.

    Example:
        >>> require_file(Path("/dev/zero"))
        Traceback (most recent call last):
        ...
        imaxray.errors.ImaxrayError: Expected a file at /dev/zero, but there is a device; name a \
file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    for is_one, name in _NO_FILES.items():
        if is_one(mode) and not os.path.realpath(path).rpartition("/")[2].startswith("pipe:["):
            raise ImaxrayError(f"Expected a file at {path}, but there is a {name}; name a file.")


_NO_FILES: Final[Mapping[Callable[[int], bool], str]] = {
    stat.S_ISFIFO: "named pipe", stat.S_ISSOCK: "socket", stat.S_ISCHR: "device",
    stat.S_ISBLK: "device",
}  # fmt: skip


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, as a whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def utf8_path(path: Path) -> str:
    """Return a path for libraries that take a path as UTF-8, whatever the locale says.

    Polars and Arrow do so. With a locale that is not UTF-8 Python writes the same path in another
    way, and the libraries would write and read elsewhere or raise an error of their own.

    Raises:
        ImaxrayError: The path is not UTF-8.

    Example:
        >>> utf8_path(Path("a/b.parquet"))
        'a/b.parquet'
    """
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ImaxrayError(
            f"Expected a path in UTF-8, but {os.fsencode(path)!r} is none; rename that file or "
            "folder."
        ) from error


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write ``table`` as Parquet."""
    with whole_file(path) as aside:
        table.write_parquet(utf8_path(aside))


def read_parquet(
    path: Path, columns: Sequence[str] | None = None, *, schema: pl.Schema | None = None
) -> pl.DataFrame:
    """Read a Parquet file; the path names one file and is never a pattern such as ``a[1].parquet``.

    All tables are read by this function and :func:`read_arrow`, because the readers of Polars take
    a path as a pattern unless they are told otherwise.

    Args:
        path: The file.
        columns: Names of the columns to read; default: all.
        schema: Columns and types of the file, where they are known.

    Raises:
        ImaxrayError: The file is damaged, is no Parquet file, or lacks a column.
        OSError: The file is missing, or the system cannot read it.
    """
    import polars as pl  # late: reading and writing text needs no tables

    names = None if columns is None else list(columns)
    with _named(path, "a Parquet table"):
        return pl.read_parquet(utf8_path(path), columns=names, schema=schema, glob=False)


def query_parquet(path: Path, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """Return what ``query`` makes of a Parquet file, without reading the rest of the file.

    Args:
        path: The file; like :func:`read_parquet`, exactly this path.
        query: Function from the lazy table to the lazy result.

    Raises:
        ImaxrayError: The file is damaged, is no Parquet file, or lacks a column.
        OSError: The file is missing, or the system cannot read it.

    Example:
        >>> import tempfile
        >>> import polars as pl
        >>> path = Path(tempfile.mkdtemp()) / "numbers[1].parquet"
        >>> write_parquet(path, pl.DataFrame({"a": [1, 2, 3]}))
        >>> query_parquet(path, lambda table: table.filter(pl.col("a") > 1))["a"].to_list()
        [2, 3]
    """
    import polars as pl  # late, as above

    with _named(path, "a Parquet table"):
        return query(pl.scan_parquet(utf8_path(path), glob=False)).collect(engine="streaming")


def rows_of_parquet(path: Path) -> int:
    """Return the number of rows of a Parquet file, which its last bytes say.

    Raises:
        ImaxrayError: The file is damaged or is no Parquet file.
        OSError: The file is missing, or the system cannot read it.
    """
    import polars as pl  # late, as above

    return int(query_parquet(path, lambda table: table.select(pl.len())).item())


def read_excel(path: Path, sheet: str | None) -> pl.DataFrame:
    """Read a sheet of an Excel file with the package fastexcel; the default is the first sheet.

    Types follow from all rows. The parser raises errors of its own kinds.
    """
    import polars as pl

    require_file(path)
    # from bytes, because a path would be a pattern
    content = path.read_bytes()
    frame: pl.DataFrame = pl.read_excel(content, sheet_name=sheet, infer_schema_length=None)
    return frame


def read_arrow(path: Path) -> pl.DataFrame:
    """Read an Arrow (IPC) file; like :func:`read_parquet`, from exactly this path."""
    import polars as pl  # late, as above

    with _named(path, "an Arrow table"):
        return pl.scan_ipc(utf8_path(path), glob=False).collect()


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    """Turn what Polars raises about a damaged file into one sentence that names the file.

    Polars checks little of a file before it decodes it, so damage also shows as other errors of
    Python, and as a panic, which is no ``Exception``.
    """
    import polars as pl  # late, as above

    require_file(path)
    panic = pl.exceptions.PanicException
    try:
        yield
    except OSError:
        raise  # it says itself what is wrong
    except (pl.exceptions.PolarsError, panic, ValueError, MemoryError, OverflowError) as error:
        raise ImaxrayError(
            f"Expected {what} at {path}, but it cannot be read as one; the file is damaged or of "
            "another kind, so write or copy it again."
        ) from error


def write_csv(path: Path, table: pl.DataFrame) -> None:
    """Write ``table`` as CSV, whose texts are safe in a spreadsheet (:func:`spreadsheet_safe`)."""
    with whole_file(path) as aside:
        spreadsheet_safe(table).write_csv(utf8_path(aside))


def csv_text(table: pl.DataFrame) -> str:
    """Return ``table`` as CSV, whose texts are safe in a spreadsheet (:func:`spreadsheet_safe`)."""
    return spreadsheet_safe(table).write_csv()


def read_own_csv(path: Path) -> pl.DataFrame:
    """Read a table that :func:`write_csv` wrote; its cells show whether a column holds numbers.

    Raises:
        ImaxrayError: The file is not such a table.
        OSError: The file is missing, or the system cannot read it.
    """
    import csv

    import polars as pl  # late, because the command line starts without it

    with path.open(newline="", encoding="utf-8") as stream, _named(path, "a CSV table"):
        try:
            rows = list(csv.DictReader(stream, strict=True))
        except csv.Error as error:
            raise ValueError(error) from error
        return pl.DataFrame(
            {name: _typed([row[name] for row in rows]) for name in rows[0]} if rows else {}
        )


def _typed(cells: Sequence[str]) -> list[Any]:
    """Return the cells of a column as truth values, whole numbers, numbers or texts.

    Example:
        >>> _typed(["1", ""]), _typed(["0.5", "NaN"]), _typed(["true", "false"]), _typed(["a", "1"])
        ([1, None], [0.5, nan], [True, False], ['a', '1'])
    """
    known = [cell for cell in cells if cell]
    if known and all(cell in ("true", "false") for cell in known):
        return [None if not cell else cell == "true" for cell in cells]
    for kind in (int, float):
        try:
            return [kind(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


_FORMULA: Final = r"^[=+\-@\t\r]"
_NUMBER: Final = r"^[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?$"


def spreadsheet_safe(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose texts a spreadsheet program does not take for formulas.

    An apostrophe is put before a text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a
    carriage return, unless the text is a number (OWASP, CSV injection). The names of the columns
    are treated the same way.

    Example:
        >>> import polars as pl
        >>> spreadsheet_safe(pl.DataFrame({"id": ["=1+1", "-0.5", "a"]}))["id"].to_list()
        ["'=1+1", '-0.5', 'a']
    """
    import polars as pl  # late, because the command line starts without it

    few = table.with_columns(pl.selectors.by_dtype(pl.Categorical, pl.Enum).cast(pl.String))
    safe = few.with_columns(
        pl.when(pl.col(name).str.contains(_FORMULA) & ~pl.col(name).str.contains(_NUMBER))
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name, dtype in few.schema.items()
        if dtype == pl.String
    )
    first = re.compile(_FORMULA)
    return safe.rename({n: f"'{n}" for n in table.columns if first.match(n)})


def sha256(path: Path) -> str:
    """Return the SHA-256 hex digest of a file's bytes."""
    require_file(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Flush a file's content to the disk, which must happen before the file is renamed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
