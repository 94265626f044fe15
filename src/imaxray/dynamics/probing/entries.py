"""Chooses the entries of a probe, with the same quota for every task and answer length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.hashing import digests, mixed

ImageSharing = Literal["any", "apart", "together"]
"""How the entries of a probe share images.

``any`` chooses entries by their own hash. ``apart`` chooses at most one entry per image.
``together`` chooses whole images by their hash, so that a probe has as many same-image pairs as the
data allow.
"""

_LENGTHS = ("short", "middle", "long")


def probe_entries(
    entries: pl.DataFrame, size: int, *, seed: int = 0, images: ImageSharing = "any"
) -> pl.DataFrame:
    """Choose ``size`` entries with equal quotas per task and per third of its answer lengths.

    Task mix and answer length change every statistic of the spectrum, so a probe fixes both.
    Entries are chosen by the hash of their id. The choice therefore depends neither on the order of
    the rows nor on other rows of the same stratum.

    Args:
        entries: Entries of one split, with schema ENTRIES.
        size: Number of entries of the probe, typically a few hundred. If it cannot be divided
            equally, the first tasks and lengths get one entry more.
        seed: Seed of the hash; another seed gives another probe.
        images: How the entries share images, see :data:`Images`.

    Returns:
        The chosen rows sorted by ``entry_id``, with ``stratum`` (task/length third).

    Raises:
        ImaxrayError: If a task has too few entries, because SE can be compared at equal quotas
            only.
    """
    return _chosen([entries], size, seed, images)[0]


def probe_pair(
    entries: pl.DataFrame,
    other: pl.DataFrame,
    size: int,
    *,
    seed: int = 0,
    images: ImageSharing = "any",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Choose one probe from each of two datasets, with equal strata, for :func:`crossed_probes`.

    Entries are chosen as in :func:`probe_entries`, but the thirds of answer lengths are computed
    over both datasets together. Each stratum has equally many entries in both probes.

    Raises:
        ImaxrayError: If a dataset has too few entries of a task or answer length.
    """
    one, two = _chosen([entries, other], size, seed, images)
    return one, two


def _chosen(
    tables: Sequence[pl.DataFrame], size: int, seed: int, images: ImageSharing
) -> list[pl.DataFrame]:
    tasks = sorted(set().union(*(table["task"].unique() for table in tables)))
    if not tasks or size < len(tasks):
        raise ImaxrayError(
            f"Expected a probe of at least one entry for each of {len(tasks)} tasks, but its size "
            f"is {size}; give a larger size or more entries."
        )
    if images == "apart":
        tables = [_one_an_image(table, seed) for table in tables]
    parts: list[list[pl.DataFrame]] = [[] for _ in tables]
    for number, task in enumerate(tasks):
        quota = size // len(tasks) + (number < size % len(tasks))
        found = _of_task([t.filter(pl.col("task") == task) for t in tables], task, quota, seed,
                         by="image_id" if images == "together" else "entry_id")  # fmt: skip
        for part, rows in zip(parts, found, strict=True):
            part.append(rows)
    return [pl.concat(part).sort("entry_id") for part in parts]


def _of_task(
    tables: Sequence[pl.DataFrame], task: str, quota: int, seed: int, *, by: str
) -> list[pl.DataFrame]:
    marked = pl.concat(
        [t.with_columns(pl.lit(k).alias("_table")) for k, t in enumerate(tables)]
    ).sort(pl.col("target").str.len_chars(), "entry_id", "_table")
    third = pl.int_range(pl.len(), dtype=pl.Int64) * 3 // max(marked.height, 1)
    marked = marked.with_columns(
        third.alias("_third"), pl.Series("_hash", mixed(digests(marked[by]), seed))
    )
    room = [
        min(marked.filter(_table=k, _third=n).height for k in range(len(tables)))
        for n in range(len(_LENGTHS))
    ]
    if sum(room) < quota:
        both = " of the same answer lengths in both datasets" if len(tables) > 1 else ""
        raise ImaxrayError(
            f"Expected {quota} entries of {task} for a probe, but there are {sum(room)}{both}; "
            "take a smaller probe."
        )
    shares = [0] * len(_LENGTHS)
    for _ in range(quota):  # a third with too few entries leaves its share to the others
        least = min((n for n in range(len(room)) if shares[n] < room[n]), key=lambda n: shares[n])
        shares[least] += 1
    return [
        pl.concat(
            [
                marked.filter(_table=k, _third=n)
                .sort("_hash", "entry_id")
                .head(share)
                .with_columns(pl.lit(f"{task}/{_LENGTHS[n]}").alias("stratum"))
                for n, share in enumerate(shares)
            ]
        ).drop("_table", "_third", "_hash")
        for k in range(len(tables))
    ]


def _one_an_image(entries: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Keep the entry with the smallest hash of each image."""
    hashed = entries.with_columns(pl.Series("_hash", mixed(digests(entries["entry_id"]), seed)))
    first = hashed.sort("_hash", "entry_id").unique("image_id", keep="first", maintain_order=True)
    return first.drop("_hash")
