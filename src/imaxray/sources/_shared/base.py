"""Defines the base class of all sources; a source reads one release."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS, TaskName
from imaxray.sources._checks.border import check_tables
from imaxray.sources._checks.reading import DEFAULT_ENCODING, Reading, is_reading, reading
from imaxray.sources._shared.files.inner_release import inner_release
from imaxray.sources._shared.handover import read_elsewhere
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_OURS: Final = "imaxray."
_CHECK: Final = "check"
_LOOKING: Final = (_CHECK, "remarks")  # these count nothing; `read` counts every row
_READING: Final = ("read", "read_with")


class Source(ABC):
    """Reads one release.

    A source is one module with one subclass. It reads local files only, knows nothing of other
    sources, and never learns whether the release is real or synthetic.

    What ``read`` and ``read_with`` of a subclass return is checked before a caller gets it: rows
    that the parsers left out become rejects, and so does each row that breaks a rule of the schema.

    Attributes:
        encoding: Encoding of the tables, lists and texts of the release.
    """

    name: str
    title: str
    version: str
    collection: str  # prefix of the ids, shared by all releases about the same images
    tasks: tuple[TaskName, ...]
    access: Literal["open", "registration", "credentialed", "own"]
    licence: str
    citation: str
    url: str

    encoding: str = DEFAULT_ENCODING

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the methods that read files, so that their rows are counted and checked."""
        super().__init_subclass__(**options)
        for name in _LOOKING:
            if name in cls.__dict__:
                setattr(cls, name, _looking(cls.__dict__[name]))
        for name in _READING:
            if name in cls.__dict__:
                setattr(cls, name, _checked(cls.__dict__[name]))

    @abstractmethod
    def check(self, root: Path) -> list[str]:
        """Check the files and their headers only; return the files found, relative to ``root``.

        Raises:
            ImaxrayError: If ``root`` or a file is missing, a header is wrong or a table is empty.
        """

    @abstractmethod
    def read(self, root: Path) -> SourceTables:
        """Check the release, then read all of it.

        Bad rows raise no error; they are returned as rejects with a code.

        Raises:
            ImaxrayError: If :meth:`check` finds a fault.
        """

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release as :meth:`read` does, but in the processes of ``pool``.

        The result is the same with any pool and without one. By default one process reads the
        whole release; sources with large archives divide the work.
        """
        if pool is None:
            return self.read(root)
        return read_elsewhere(self.read, root, pool)

    def remarks(self, root: Path) -> list[str]:  # noqa: ARG002 - most sources have no remarks
        """Return sentences about inconsistencies of the release; by default there are none."""
        return []


def _looking(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a method in a reading whose notes nobody needs."""

    @functools.wraps(method)
    def look(self: Source, *args: Any, **options: Any) -> Any:
        if is_reading():
            return method(self, *args, **options)
        with reading(self.encoding):
            try:
                return _run(self, method, *args, **options)
            except ImaxrayError as error:
                if method.__name__ == _CHECK and len(args) == 1:
                    _say_where(self, method, Path(args[0]), error)
                raise

    return look


def _say_where(source: Source, method: Callable[..., Any], root: Path, error: ImaxrayError) -> None:
    """Raise an error that names the folder of the release if it lies deeper inside ``root``."""
    inner = inner_release(lambda folder: _run(source, method, folder), root)
    if inner is not None:
        raise ImaxrayError(
            f"{str(error).removesuffix('.')}, or give the folder {inner}, which holds the "
            f"{source.name} release."
        ) from error


def _checked(method: Callable[..., SourceTables]) -> Callable[..., SourceTables]:
    """Check what a method returns; a method that another one calls is left alone."""

    @functools.wraps(method)
    def read(self: Source, root: Path, *args: Any, **options: Any) -> SourceTables:
        if is_reading():
            return method(self, root, *args, **options)
        with reading(self.encoding) as noted:
            tables = _run(self, method, root, *args, **options)
        return check_source_tables(
            tables, source=self.name, collection=self.collection, root=Path(root), noted=noted
        )

    return read


def _run(source: Source, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a method; an exception of a source of another package becomes one sentence."""
    if type(source).__module__.startswith(_OURS):
        return method(source, *args, **options)
    try:
        return method(source, *args, **options)
    except ImaxrayError:
        raise
    except Exception as error:  # foreign code may raise anything
        raise ImaxrayError(
            f"Expected the source {source.name} to read {args[0] if args else 'the release'}, but "
            f"its {method.__name__} failed ({type(error).__name__}: {error}); ask its author for a "
            "corrected release."
        ) from error


def check_source_tables(
    tables: Any, *, source: str, collection: str | None, root: Path, noted: Reading | None = None
) -> SourceTables:
    """Return tables of a source with a reject for every row that was left out or is not legal.

    Args:
        tables: What the source returned.
        source: Name of the source.
        collection: Prefixes that its ids may have; None: any.
        root: Folder of the release.
        noted: What the parsers noted while the source read.

    Raises:
        ImaxrayError: If it returned no tables, or tables of another structure.
    """
    if not isinstance(tables, SourceTables) or not all(
        isinstance(file, ReleaseFile) for file in tables.files
    ):
        raise ImaxrayError(
            f"Expected SourceTables with their files from the source {source}, but it returned "
            f"{type(tables).__name__}; correct the source."
        )
    if tables.checked:
        return tables
    noted = noted or Reading()
    rows = {_inside(path, root): count for path, count in noted.rows.items()}
    files = tuple(replace(file, rows=rows.get(file.file, file.rows)) for file in tables.files)
    left_out = [
        (source, file, row, None, code, message)
        for path, faults in noted.faults.items()
        if (file := _inside(path, root)) is not None
        for row, code, message in faults
    ]
    unread = pl.DataFrame(left_out, schema=REJECTS, orient="row")
    checked = check_tables(
        tables.images,
        tables.annotations,
        tables.hints,
        tables.rejects,
        unread,
        source=source,
        collection=collection,
        files={file.file: file.rows for file in files},
    )
    return replace(
        tables,
        images=checked.images,
        annotations=checked.annotations,
        hints=checked.hints,
        rejects=checked.rejects,
        files=files,
        checked=True,
    )


def _inside(path: Path, root: Path) -> str | None:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None
