"""The one way in which a file or a folder appears: whole or not at all.

Content is written aside, flushed to the disk, and renamed. A killed process or a full disk then
leaves the earlier content or none, never a part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    import polars as pl

PART: Final = ".part"
"""Suffix of a file that is not finished."""


@contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """A path to write at; what lies there becomes ``path`` when the block ends without an error.

    Args:
        path: the final file.
        shared: other processes may write the same file at the same time, each on its own path
            (a killed one then leaves a file ``.NAME.*.part``).

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
    name = f".{path.name}.{uuid.uuid4().hex}" if shared else path.name
    aside = path.with_name(name + PART)
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """Write ``value`` as JSON, indented by one space and closed by a newline.

    Raises:
        TypeError, ValueError: ``value`` holds what JSON cannot express.
    """
    write_text(path, json.dumps(value, indent=1, sort_keys=sort_keys) + "\n")


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write ``table`` as Parquet."""
    with whole_file(path) as aside:
        table.write_parquet(aside)


def write_csv(path: Path, table: pl.DataFrame) -> None:
    """Write ``table`` as CSV."""
    with whole_file(path) as aside:
        table.write_csv(aside)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def whole_folder(out: Path, *, manifest: str, keys: Collection[str], what: str) -> Iterator[Path]:
    """A folder to write in; it becomes ``out`` when the block ends, and vanishes on an error.

    Args:
        out: the final folder; an empty one, or an earlier one of the same kind, is replaced.
        manifest: name of the JSON file by which a folder of this kind is known.
        keys: the keys that the manifest must have.
        what: the kind, for the error.

    Raises:
        ImaxrayError: ``out`` holds anything else.
    """
    if out.exists() and not _is_replaceable(out, manifest, keys):
        raise ImaxrayError(
            f"Expected an empty folder or an earlier {what} at {out}, but it holds other files; "
            "choose another folder."
        )
    out = out.resolve()  # "." has no name to write aside under
    aside, old = out.with_name(f".{out.name}{PART}"), out.with_name(f".{out.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        for path in aside.rglob("*"):
            if path.is_file() and not path.is_symlink():
                _flush(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)  # removing it takes time; a kill in between must not cost both
    aside.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _is_replaceable(folder: Path, manifest: str, keys: Collection[str]) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        content = json.loads((folder / manifest).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and set(keys) <= content.keys()


def _flush(path: Path) -> None:
    """Bring a file's content to the disk, so that its name never stands before its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
