"""Which entries a probe holds: fixed, the same quota for every task and answer length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.hashing import digests, mixed

ImageSharing = Literal["any", "apart", "together"]
"""any: entries by their own hash. apart: one entry an image. together: whole images by their hash,
so that a probe has as many same-image pairs as the data allow."""

_LENGTHS = ("short", "middle", "long")


def probe_entries(
    entries: pl.DataFrame, size: int, *, seed: int = 0, images: ImageSharing = "any"
) -> pl.DataFrame:
    """Choose ``size`` entries: equal quotas a task, and in a task of three answer lengths.

    Task mix and answer length move every statistic of the spectrum by themselves, so that a probe
    fixes them. The choice is by hash of the entry id: it depends on neither order nor other rows of
    the same stratum.

    Args:
        entries: schema ENTRIES, of one split.
        size: of the probe; a few hundred. What does not divide goes to the first tasks and lengths.
        seed: another one gives another probe.
        images: how entries share images.

    Returns:
        The chosen rows sorted by ``entry_id``, with ``stratum`` (task/length third).

    Raises:
        ImaxrayError: a stratum has too few entries; SE compares at equal quotas only.
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
    """Two probes of two datasets with the same strata, for :func:`crossed_probes`.

    As :func:`probe_entries`, with the thirds of answer lengths cut from both datasets together:
    each stratum has as many entries in one probe as in the other.

    Raises:
        ImaxrayError: a dataset has too few entries of a task or length.
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
    for _ in range(quota):  # a third that lacks entries leaves them to the others
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
    """Of each image the entry whose hash is least."""
    hashed = entries.with_columns(pl.Series("_hash", mixed(digests(entries["entry_id"]), seed)))
    first = hashed.sort("_hash", "entry_id").unique("image_id", keep="first", maintain_order=True)
    return first.drop("_hash")
