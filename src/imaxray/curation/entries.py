"""Which facts become entries, and the entries of a catalog, some ten thousand images at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray.curation.conflicts import DISPUTED
from imaxray.schema import ENTRIES, FRONTAL, empty
from imaxray.tasks import make_entries

ANATOMY = "anatomy"
"""Quality of a region that is only a part of the body, with no finding stated of it."""

_CHUNK = 40_000  # images whose entries are made at a time: memory, never the result
_AT_ONCE = 2


class EntriesConfig(BaseModel):
    """What may become an entry; what may not stays in the catalog."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regions: Literal["all", "findings"] = Field(
        "all",
        description="findings: boxes of mere anatomy (29 on every image that Chest ImaGenome has) "
        "ask neither REC nor REG; all: they do",
    )
    disputed: Literal["keep", "leave-out"] = Field(
        "keep", description="leave-out: facts that a conflict rule has downgraded make no entries"
    )
    views: Literal["all", "frontal"] = Field(
        "all", description="frontal: only PA and AP images, and those of no stated view"
    )


def catalog_entries(
    annotations: pl.DataFrame, images: pl.DataFrame, config: EntriesConfig
) -> pl.DataFrame:
    """Entries of all tasks (schema ENTRIES), sorted by split, task and id.

    Args:
        annotations: schema ANNOTATIONS, in the order of ``images``.
        images: schema IMAGES, sorted by id, with their split.
        config: what becomes an entry.
    """
    pieces = (
        (facts, some)
        for facts, some in (_wanted(*piece, config) for piece in _chunks(annotations, images))
        if facts.height
    )
    # two at a time: much of a piece's work keeps one core busy only
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        made = list(threads.map(lambda piece: make_entries(*piece), pieces))
    return pl.concat(made or [empty(ENTRIES)]).sort("split", "task", "entry_id")


def _wanted(
    facts: pl.DataFrame, images: pl.DataFrame, config: EntriesConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if config.regions == "findings":
        facts = facts.filter(
            (pl.col("kind") != "region") | pl.col("quality").ne_missing(pl.lit(ANATOMY))
        )
    if config.disputed == "leave-out":
        disputed = pl.col("quality").cast(pl.String).str.ends_with(DISPUTED)
        facts = facts.filter(~disputed.fill_null(False))
    if config.views == "frontal":
        images = images.filter(pl.col("view").is_null() | pl.col("view").is_in(FRONTAL))
    return facts, images


def _chunks(
    annotations: pl.DataFrame, images: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Some images and their annotations; both tables are sorted by image, so slices do."""
    ends = annotations["image_id"].set_sorted()
    start = 0
    for first in range(0, images.height, _CHUNK):
        some = images[first : first + _CHUNK]
        end = int(ends.search_sorted(some["image_id"][-1], side="right"))
        yield annotations[start:end], some
        start = end
