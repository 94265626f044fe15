"""Stores answers part by part in a folder, each part atomically, and merges them into tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NotRequired, TypedDict

import polars as pl

from imaxray._common.digests import (
    DIGEST,
    changed_files,
    is_as_written,
    whole_file_with_digest,
)
from imaxray._common.files import (
    read_parquet,
    remove_unfinished,
    sha256,
    utf8_path,
    write_parquet,
)
from imaxray._common.state import read_state, write_state
from imaxray.errors import ImaxrayError


class _Manifest(TypedDict):
    """What the manifest of every store has."""

    identity: dict[str, Any]
    files: NotRequired[dict[str, str]]


class PartStore:
    """Writes the tables of a folder part by part, so that an interrupted job can continue.

    ``STEM.json`` holds the identity of the answers and ``STEM.parts/`` holds one file per batch. At
    the end the parts become the tables and are removed. A subclass names the files and the schema.

    Args:
        folder: Folder of the tables, which is created.
        identity: Everything that decides the tables. A folder with another identity is refused.
        about: More keys of the manifest, e.g. versions; written at the first start only.

    Attributes:
        folder: Folder of the tables.
        parts: Folder of the parts.

    Raises:
        ImaxrayError: If the folder holds tables of another identity or of unknown origin, or
            tables that were changed.
    """

    stem: ClassVar[str]
    """Stem of the manifest (``STEM.json``) and of the folder of parts (``STEM.parts``)."""

    tables: ClassVar[Sequence[str]]
    """Stems of the tables. If the last one exists, all are finished, because it is written last."""

    schema: ClassVar[pl.Schema]
    """Columns of parts and tables; the first column is the id that rows are sorted by."""

    what: ClassVar[str]
    """Name of the content, for messages."""

    since: ClassVar[Sequence[tuple[str, str]]] = ()
    """Groups and keys of the identity that earlier versions did not write. They are not compared
    with a manifest that lacks them, so that finished tables of an earlier version still serve."""

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], about: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.parts = folder / f"{self.stem}.parts"
        self._manifest = folder / f"{self.stem}.json"
        identity = json.loads(json.dumps(identity))
        if self._manifest.exists():
            found = self.manifest()["identity"]
            for group, key in self.since:
                if key not in found.get(group, {}):
                    identity.get(group, {}).pop(key, None)
            require_same(folder, found, identity, what=self.what)
        elif there := [name for name in self.tables if self._table(name).exists()]:
            raise ImaxrayError(
                f"Expected {self.what} of a known origin in {folder}, but {there[0]}.parquet is "
                f"there without {self._manifest.name}; choose another --out, or remove the folder."
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_state(self._manifest, {"identity": identity, **(about or {})})
        if self.finished:
            self._compare()
            self._remove_parts()
        else:
            self.parts.mkdir(exist_ok=True)

    @property
    def finished(self) -> bool:
        """Whether all tables are complete."""
        return self._table(self.tables[-1]).exists()

    def add(self, name: str, rows: pl.DataFrame) -> None:
        """Write one part; an existing part of the same name is replaced."""
        add_part(rows, self.parts, name)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the names of the parts that do not exist yet, or were changed since."""
        return [name for name in names if not is_as_written(self._part(name))]

    def rows(self, names: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows of some parts, or of all parts that are whole, sorted by id."""
        every = [path for path in sorted(self.parts.glob("*.parquet")) if is_as_written(path)]
        files = every if names is None else map(self._part, names)
        frames = [read_parquet(file).cast(self.schema) for file in files]
        return pl.concat([pl.DataFrame(schema=self.schema), *frames]).sort(self.schema.names()[0])

    def table(self, stem: str | None = None) -> pl.DataFrame:
        """Return one of the finished tables, by default the last."""
        return read_parquet(self._table(stem or self.tables[-1])).cast(self.schema)

    def manifest(self) -> dict[str, Any]:
        """Return the content of ``STEM.json``."""
        known: dict[str, Any] = read_state(
            self._manifest, _Manifest, advice="choose another --out, or remove the folder"
        )
        return known

    def add_to_manifest(self, more: Mapping[str, Any]) -> None:
        """Write further keys into the manifest."""
        write_state(self._manifest, {**self.manifest(), **more})

    def _close(self, tables: Mapping[str, pl.DataFrame]) -> None:
        """Write the tables, in the order of :attr:`tables`, and remove the parts."""
        for stem in self.tables:
            _write_table(tables[stem], self.folder, stem)
        self._compare()
        self._remove_parts()

    def _compare(self) -> None:
        """Compare the finished tables with the digests in the manifest, or add the digests to it.

        Raises:
            ImaxrayError: If a table is missing or was changed.
        """
        names = [self._table(stem).name for stem in self.tables]
        files = self.manifest().get("files")
        if files is None:
            self.add_to_manifest({"files": {name: sha256(self.folder / name) for name in names}})
        elif changed := changed_files(self.folder, files):
            raise ImaxrayError(
                f"Expected {self.what} in {self.folder} as {self._manifest.name} describes them, "
                f"but {changed[0]} is missing or was changed; choose another --out, or remove the "
                "folder."
            )

    def _remove_parts(self) -> None:
        if not self.parts.is_dir():
            return
        for path in [*self.parts.glob("*.parquet"), *self.parts.glob(f"*{DIGEST}")]:
            path.unlink()
        remove_unfinished([self.parts])
        if not any(self.parts.iterdir()):
            self.parts.rmdir()

    def _part(self, name: str) -> Path:
        return self.parts / f"{name}.parquet"

    def _table(self, stem: str) -> Path:
        return self.folder / f"{stem}.parquet"


def add_part(rows: pl.DataFrame, folder: Path, name: str) -> None:
    """Write ``folder/NAME.parquet`` and its digest, because Parquet does not notice a change."""
    with whole_file_with_digest(folder / f"{name}.parquet") as aside:
        _plain(rows).write_parquet(utf8_path(aside))


def _write_table(rows: pl.DataFrame, folder: Path, name: str) -> None:
    """Write ``folder/NAME.parquet`` atomically; an existing file is replaced."""
    write_parquet(folder / f"{name}.parquet", _plain(rows))


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    # The numbers of an Enum's values must not become part of the content.
    return rows.with_columns(pl.selectors.by_dtype(pl.Enum).cast(pl.String))


def require_same(
    folder: Path, found: Mapping[str, Any], identity: Mapping[str, Any], *, what: str
) -> None:
    """Check that a folder holds the content that the caller wants to continue.

    Args:
        folder: Folder, named in the message.
        found: Identity in the folder.
        identity: Identity that the caller wants.
        what: Name of the content, used in the message.

    Raises:
        ImaxrayError: If the identities differ.
    """
    if found == identity:
        return
    differ = list(_differences(found, identity))
    raise ImaxrayError(
        f"Expected {folder} to hold {what} of the same model, data and decoding, but "
        f"{', and '.join(differ[:3])}{' and more' if len(differ) > 3 else ''}; choose another "
        "--out, or remove the folder."
    )


def _differences(found: Any, now: Any, name: str = "") -> Iterator[str]:
    """Yield where two identities differ, e.g. ``config.limit is 10 there, 20 now``."""
    if isinstance(found, Mapping) and isinstance(now, Mapping):
        for key in sorted({*found, *now}):
            if found.get(key) != now.get(key):
                yield from _differences(
                    found.get(key), now.get(key), f"{name}.{key}" if name else key
                )
    else:
        old, new = ("none" if value is None else str(value)[:40] for value in (found, now))
        yield f"{name} is {old} there, {new} now"
