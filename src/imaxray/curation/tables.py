"""Defines the tables of one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from imaxray.schema import CONFLICTS, REJECTS, empty, mark_pseudo
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
"""Schema of the account, which has one row per release file: rows in = kept + rejected."""


@dataclass(frozen=True)
class Tables:
    """Holds images, annotations, entries and rejects of a dataset (schemas of the same names).

    Attributes:
        entries: schema ENTRIES and the column ``is_pseudo``, which is added if it is missing.
        conflicts: schema CONFLICTS, of the whole catalog: contradictions between annotations.
        compared: number of pairs of annotations that each conflict rule compared.
        account: schema ACCOUNT, of the whole catalog.
        decisions: what the options of the build decided, with figures of the whole catalog.
        files: release files that the dataset was made from, with fingerprints.
        roots: folder of each source's release on this machine.
        seconds: duration of each step of the build; not written to files.
    """

    images: pl.DataFrame
    annotations: pl.DataFrame
    entries: pl.DataFrame
    rejects: pl.DataFrame = field(default_factory=lambda: empty(REJECTS))
    conflicts: pl.DataFrame = field(default_factory=lambda: empty(CONFLICTS))
    compared: Mapping[str, int] = field(default_factory=dict)
    account: pl.DataFrame = field(default_factory=lambda: empty(ACCOUNT))
    files: tuple[ReleaseFile, ...] = ()
    decisions: Mapping[str, Any] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", mark_pseudo(self.entries))

    def split(self, name: str) -> pl.DataFrame:
        """Return the entries of one split."""
        return of_split(self.entries, name)


def of_split(entries: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the entries of one split; those that lie together, as in a dataset, are not copied."""
    mask = (entries["split"] == name).fill_null(False)
    count, first = int(mask.sum()), mask.arg_max() or 0
    if mask.slice(first, count).all():
        return entries.slice(first, count)
    return entries.filter(mask)


def count_conflicts(
    conflicts: pl.DataFrame, compared: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """Return, for each rule, the number of pairs ``compared`` and of contradictions ``found``."""
    found = dict(conflicts.group_by(pl.col("rule").cast(pl.String)).len().iter_rows())
    return {
        rule: {"compared": pairs, "found": found.get(rule, 0)} for rule, pairs in compared.items()
    }
