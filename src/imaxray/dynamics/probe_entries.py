"""Which entries a probe holds: fixed, the same quota for every task and answer length."""

from __future__ import annotations

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.stable import digests, mixed

_LENGTHS = ("short", "middle", "long")


def probe_entries(entries: pl.DataFrame, size: int, *, seed: int = 0) -> pl.DataFrame:
    """Choose ``size`` entries: equal quotas a task, and in a task of three answer lengths.

    Task mix and answer length move every statistic of the spectrum by themselves, so that a probe
    fixes them. The choice is by hash of the entry id: it depends on neither order nor other rows of
    the same stratum.

    Args:
        entries: schema ENTRIES, of one split.
        size: of the probe; a few hundred. What does not divide goes to the first tasks and lengths.
        seed: another one gives another probe.

    Returns:
        The chosen rows sorted by ``entry_id``, with ``stratum`` (task/length third).

    Raises:
        ImaxrayError: a stratum has too few entries; SE compares at equal quotas only.
    """
    tasks = sorted(entries["task"].unique())
    if not tasks or size < len(tasks):
        raise ImaxrayError(
            f"Expected a probe of at least one entry for each of {len(tasks)} tasks, but its size "
            f"is {size}; give a larger size or more entries."
        )
    parts = []
    for number, task in enumerate(tasks):
        of_task = entries.filter(pl.col("task") == task)
        quota = size // len(tasks) + (number < size % len(tasks))
        if of_task.height < quota:
            raise ImaxrayError(
                f"Expected {quota} entries of {task} for a probe of {size}, but there are "
                f"{of_task.height}; take a smaller probe."
            )
        parts.append(_of_task(of_task, task, quota, seed))
    return pl.concat(parts).sort("entry_id")


def _of_task(of_task: pl.DataFrame, task: str, quota: int, seed: int) -> pl.DataFrame:
    ordered = of_task.sort(pl.col("target").str.len_chars(), "entry_id").with_row_index("_rank")
    third = (pl.col("_rank").cast(pl.Int64) * 3) // ordered.height
    hashes = mixed(digests(ordered["entry_id"]), seed)
    ordered = ordered.with_columns(third.alias("_third"), pl.Series("_hash", hashes))
    chosen, wanting = [], 0
    for number, length in enumerate(_LENGTHS):
        share = quota // 3 + (number < quota % 3) + wanting
        found = ordered.filter(pl.col("_third") == number).sort("_hash", "entry_id").head(share)
        wanting = share - found.height  # a third may lack one entry; the next makes up for it
        chosen.append(found.with_columns(pl.lit(f"{task}/{length}").alias("stratum")))
    return pl.concat(chosen).drop("_rank", "_third", "_hash")
