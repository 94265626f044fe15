"""The tables of one dataset, held together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from imaxray.curation.conflicts import CONFLICTS
from imaxray.schema import REJECTS, empty, mark_pseudo
from imaxray.sources import ReleaseFile

ACCOUNT = pl.Schema(
    {
        "source": pl.String,
        "file": pl.String,
        "rows_in": pl.Int64,
        "kept": pl.Int64,
        "rejected": pl.Int64,
    }
)
"""Per release file: rows in = kept + rejected."""


@dataclass(frozen=True)
class Tables:
    """Images, annotations, entries and rejects (schemas of the same names) of one dataset.

    Attributes:
        entries: schema ENTRIES and ``is_pseudo``, which is added where it is missing.
        conflicts: schema CONFLICTS, of the whole catalog: contradictions between annotations.
        compared: pairs of facts that each conflict rule compared.
        account: schema ACCOUNT, of the whole catalog.
        files: the release files behind it, with fingerprints.
        roots: where each source's release lies on this machine.
        seconds: how long each step of the build took; not written to files.
    """

    images: pl.DataFrame
    annotations: pl.DataFrame
    entries: pl.DataFrame
    rejects: pl.DataFrame = field(default_factory=lambda: empty(REJECTS))
    conflicts: pl.DataFrame = field(default_factory=lambda: empty(CONFLICTS))
    compared: Mapping[str, int] = field(default_factory=dict)
    account: pl.DataFrame = field(default_factory=lambda: empty(ACCOUNT))
    files: tuple[ReleaseFile, ...] = ()
    roots: Mapping[str, Path] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", mark_pseudo(self.entries))

    def split(self, name: str) -> pl.DataFrame:
        """Entries of one split."""
        return self.entries.filter(pl.col("split") == name)
