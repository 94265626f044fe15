"""Defines the tables that a source returns and the fingerprint of each file that it read."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, empty


@dataclass(frozen=True)
class ReleaseFile:
    """Describes one release file that a source read: its number of rows and its fingerprint."""

    source: str
    file: str  # path inside the release, with forward slashes
    rows: int  # data rows, list items or archive members
    sha256: str


@dataclass(frozen=True)
class SourceTables:
    """Holds everything that a source read from one release.

    Every row of every file in ``files`` is accounted for later: it must appear in the catalog,
    through an image, an annotation or a split hint that carries its ``file`` and ``row``, or in the
    rejects.
    """

    images: pl.DataFrame = field(default_factory=lambda: empty(IMAGES))
    annotations: pl.DataFrame = field(default_factory=lambda: empty(SOURCE_ANNOTATIONS))
    hints: pl.DataFrame = field(default_factory=lambda: empty(SPLIT_HINTS))
    rejects: pl.DataFrame = field(default_factory=lambda: empty(REJECTS))
    files: tuple[ReleaseFile, ...] = ()
    checked: bool = False  # set by the base class, which checks what a source returns
