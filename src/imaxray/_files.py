"""Writes files and folders so that each one appears as a whole or not at all.

Content is written to a temporary path beside the target, flushed to the disk, and renamed. If the
process is killed or the disk is full, the target keeps its earlier content (or stays absent); it
never holds a part of the new content.
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
"""Suffix of a file or folder that is not finished."""


@contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary path, whose file becomes ``path`` when the block ends without an error.

    Args:
        path: The final file.
        shared: Whether other processes may write the same file at the same time. Each process
            then writes to a path of its own (a killed process leaves a file ``.NAME.*.part``).

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
    """Write ``text`` to ``path`` as UTF-8, as a whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """Write ``value`` as JSON, indented by one space and closed by a newline.

    Raises:
        TypeError, ValueError: JSON cannot express ``value``.
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
    """Return the SHA-256 hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def whole_folder(out: Path, *, manifest: str, keys: Collection[str], what: str) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``out`` when the block ends; an error removes it.

    Args:
        out: The final folder. An empty folder, or an earlier folder of the same kind, is replaced.
        manifest: Name of the JSON file that identifies a folder of this kind.
        keys: Keys that the manifest must have.
        what: Name of the kind, for the error message.

    Raises:
        ImaxrayError: ``out`` holds other files.
    """
    if out.exists() and not _is_replaceable(out, manifest, keys):
        raise ImaxrayError(
            f"Expected an empty folder or an earlier {what} at {out}, but it holds other files; "
            "choose another folder."
        )
    out = out.resolve()  # the path "." has no name to derive from
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
        out.rename(old)  # deleting takes time, and a kill must not lose both versions
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
    """Flush a file's content to the disk, which must happen before the file is renamed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
