"""Finds the image files of a release by name and reads their headers."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from imaxray import dicom, radiograph
from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS
from imaxray.sources._shared.files.columns import reject
from imaxray.sources._shared.files.paths import relative

_PART: Final = 500  # headers per piece of work

FILES: Final = pl.Schema(
    {
        "stem": pl.String,  # file name without its extension
        "path": pl.String,  # path inside the release
        "width": pl.Int32,  # pixels; null if the row has a code
        "height": pl.Int32,
        "view": pl.String,  # stated in DICOM files only; null if it is not stated
        "sex": pl.String,
        "age": pl.Int16,
        "code": pl.String,  # reject code of a file that is not usable; null for a sound image
        "message": pl.String,
    }
)

T = TypeVar("T")


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files under ``folder``, sorted, whose names end in one of ``suffixes``.

    Upper and lower case of an ending are not distinguished.
    """
    return [
        Path(parent) / name
        for parent, _, names in sorted(os.walk(folder))
        for name in sorted(names)
        if name.lower().endswith(tuple(suffixes))
    ]


def read_images(
    root: Path,
    folders: Sequence[str],
    suffixes: Sequence[str],
    pool: Executor | None,
    *,
    only: Collection[str] | None = None,
) -> pl.DataFrame:
    """Return the image files of ``folders`` (schema FILES), the first file of each stem.

    Args:
        root: Folder of the release.
        folders: Folders inside the release; a folder that does not exist is skipped.
        suffixes: Endings of image files, in lower case.
        pool: Pool of processes that read headers; the result does not depend on it.
        only: Stems of the files to return; None returns all files.
    """
    paths = [path for folder in folders for path in list_files(root / folder, suffixes)]
    wanted = None if only is None else set(only)
    names = [relative(path, root) for path in paths if wanted is None or path.stem in wanted]
    return look_at_images(root, names, pool).unique("stem", keep="first", maintain_order=True)


def look_at_images(root: Path, names: Sequence[str], pool: Executor | None) -> pl.DataFrame:
    """Return what the headers of image files state (schema FILES), a row per file.

    Args:
        root: Folder of the release.
        names: Paths inside the release.
        pool: Pool of processes that read headers; the result does not depend on it.
    """
    return pl.DataFrame(map_parts(_look, str(root), names, pool), schema=FILES, orient="row")


def map_parts(
    function: Callable[[str, Sequence[str]], list[T]],
    root: str,
    names: Sequence[str],
    pool: Executor | None,
) -> list[T]:
    """Apply ``function`` to ``names`` a few hundred at a time, in ``pool`` if one is given."""
    parts = [names[k : k + _PART] for k in range(0, len(names), _PART)]
    if pool is None or len(parts) < 2:
        return [row for part in parts for row in function(root, part)]
    jobs = [pool.submit(function, root, part) for part in parts]
    return [row for job in jobs for row in job.result()]


def reject_images(full: pl.DataFrame, *, source: str, file: str, key: str) -> pl.DataFrame:
    """Return rejects for the rows of ``full`` (joined with schema FILES) without a sound image."""
    where: dict[str, Any] = {"source": source, "file": file, "key": key}
    bad = [
        reject(full.filter(pl.col("path").is_null()), **where, code="missing-image",
               message="the image is not in this copy"),
    ]  # fmt: skip
    faults = full.select("code", "message").drop_nulls().unique().sort("code", "message")
    bad += [
        reject(full.filter(code=code, message=message), **where, code=code, message=message)
        for code, message in faults.rows()
    ]
    return pl.concat(bad) if bad else pl.DataFrame(schema=REJECTS)


def is_sound() -> pl.Expr:
    """Return whether a row that was joined with schema FILES has a file that is a sound image."""
    return pl.col("path").is_not_null() & pl.col("code").is_null()


def _look(root: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return [_one(Path(root), name) for name in names]


def _one(root: Path, name: str) -> tuple[Any, ...]:
    path = root / name
    nothing = (None,) * 5
    try:
        if not dicom.is_dicom(path):
            return path.stem, name, *radiograph.size(path), None, None, None, None, None
        header = dicom.read_header(path)
    except ImaxrayError:
        return path.stem, name, *nothing, "unreadable-image", "the image file is damaged"
    fault = dicom.problem(header, radiograph.MAX_PIXELS)
    if fault is not None:
        return path.stem, name, *nothing, *fault
    facts = (header.width, header.height, header.view, header.sex, header.age)
    return path.stem, name, *facts, None, None
