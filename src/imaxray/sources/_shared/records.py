"""The tables that a source returns, and the fingerprint of each release file that it read."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, empty


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release that a source read: its rows and its fingerprint."""

    source: str
    file: str  # path inside the release, with forward slashes
    rows: int  # data rows, list items or archive members
    sha256: str


@dataclass(frozen=True)
class SourceTables:
    """Everything that one release says.

    The account is closed later: every row of every file in ``files`` must turn up in the catalog,
    through an image, an annotation or a split hint that carries its ``file`` and ``row``, or in the
    rejects.
    """

    images: pl.DataFrame = field(default_factory=lambda: empty(IMAGES))
    annotations: pl.DataFrame = field(default_factory=lambda: empty(SOURCE_ANNOTATIONS))
    hints: pl.DataFrame = field(default_factory=lambda: empty(SPLIT_HINTS))
    rejects: pl.DataFrame = field(default_factory=lambda: empty(REJECTS))
    files: tuple[ReleaseFile, ...] = ()
