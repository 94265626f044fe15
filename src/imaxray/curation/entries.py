"""Decides which annotations become entries and makes the entries of a catalog in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray.schema import ENTRIES, FINDINGS, FRONTAL, empty, is_anatomy, is_disputed
from imaxray.tasks import Uncertain, make_entries

_CHUNK = 40_000  # images whose entries are made at a time, which limits memory, not the result
_AT_ONCE = 2  # chunks at a time


class EntriesConfig(BaseModel):
    """Sets which annotations become entries; all others stay in the catalog without an entry."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    regions: Literal["all", "findings"] = Field(
        default="all",
        description="findings: boxes of anatomical regions without a finding (29 per image in "
        "Chest ImaGenome) make no rec and reg entries; all: they make entries too.",
    )
    disputed: Literal["keep", "leave-out"] = Field(
        default="keep",
        description="leave-out: annotations that a conflict rule marked make no entries.",
    )
    uncertain: Uncertain = Field(
        default="ignore",
        description="What findings entries make of labels that are uncertain. ignore: such a label "
        "is neither listed nor scored, and an image whose answer would hang on it gets no entry; "
        "ones: it counts as positive; zeros: it counts as negative; ask: the target names it as "
        "possible (Possible Pneumonia).",
    )
    views: Literal["all", "frontal"] = Field(
        default="all",
        description="frontal: only frontal images and those without a stated view make entries.",
    )


def catalog_entries(
    annotations: pl.DataFrame, images: pl.DataFrame, config: EntriesConfig
) -> pl.DataFrame:
    """Make the entries of all tasks (schema ENTRIES), sorted by split, task and id.

    Args:
        annotations: Schema ANNOTATIONS, in the order of ``images``.
        images: Schema IMAGES, sorted by id, with their split.
        config: Settings that decide which annotations become entries.
    """
    pieces = (
        (facts, some)
        for facts, some in (_wanted(*piece, config) for piece in _chunks(annotations, images))
        if facts.height
    )
    # Two chunks are made at a time, because much of the work on a chunk uses only one core.
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        made = list(
            threads.map(lambda piece: make_entries(*piece, uncertain=config.uncertain), pieces)
        )
    return pl.concat(made or [empty(ENTRIES)]).sort("split", "task", "entry_id")


def count_uncertain(
    annotations: pl.DataFrame, entries: pl.DataFrame, policy: Uncertain
) -> dict[str, str | int]:
    """Count what the policy for uncertain labels did.

    Args:
        annotations: Annotations of the catalog (schema ANNOTATIONS).
        entries: Entries of the catalog (schema ENTRIES).
        policy: Policy under which the entries were made.

    Returns:
        ``policy``; ``images``, the images with an uncertain label; ``without_entry``, those of them
        without a findings entry; and ``changed``, those whose findings entry states an uncertain
        label as positive, negative or possible.
    """
    unsure = annotations.filter(
        (pl.col("kind") == "label") & (pl.col("value") == -1) & pl.col("name").is_in(FINDINGS)
    ).select("image_id").unique()  # fmt: skip
    answered = entries.filter(pl.col("task") == "findings").select("image_id")
    kept = unsure.join(answered, on="image_id", how="semi").height
    return {
        "policy": policy,
        "images": unsure.height,
        "without_entry": unsure.height - kept,
        "changed": 0 if policy == "ignore" else kept,
    }


def _wanted(
    facts: pl.DataFrame, images: pl.DataFrame, config: EntriesConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if config.regions == "findings":
        facts = facts.filter((pl.col("kind") != "region") | ~is_anatomy())
    if config.disputed == "leave-out":
        facts = facts.filter(~is_disputed())
    if config.views == "frontal":
        images = images.filter(pl.col("view").is_null() | pl.col("view").is_in(FRONTAL))
    return facts, images


def _chunks(
    annotations: pl.DataFrame, images: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield images in chunks with their annotations, as slices of the two sorted tables."""
    ends = annotations["image_id"].set_sorted()
    start = 0
    for first in range(0, images.height, _CHUNK):
        some = images[first : first + _CHUNK]
        end = int(ends.search_sorted(some["image_id"][-1], side="right"))
        yield annotations[start:end], some
        start = end
