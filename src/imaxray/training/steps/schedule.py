"""Draws the entries of each step as a seeded table, with equally many per step in every arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError
from imaxray.hashing import digest
from imaxray.schema import IS_DERIVED, IS_PSEUDO, TASKS, mark_derived, mark_pseudo
from imaxray.training.config import Layout, TrainingConfig

_Indices = NDArray[np.int64]

_PSEUDO = "pseudo/"


def schedule(
    entries: pl.DataFrame,
    *,
    layout: Layout,
    entries_per_step: int,
    steps: int,
    seed: int,
    shares: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Draw the entries of every step, epoch by epoch, without replacement inside an epoch.

    ``packed`` and ``conversation`` shuffle the images and keep the entries of an image together;
    such a group is divided only at the end of a step. ``separate`` shuffles the entries.

    With ``shares``, the length of an epoch does not change, but each task gets its share of the
    epoch. If the share of a task exceeds its entries, the task starts over (each entry again once,
    in another order). If the share is smaller, the next epoch continues with the entries not drawn
    yet. An entry that is drawn twice in an epoch goes to two rows.

    Args:
        entries: Entries of the train split, with schema ENTRIES.
        layout: How the entries are arranged in rows.
        entries_per_step: Exact number of entries in every step.
        steps: Number of steps.
        seed: Seed of the shuffles.
        shares: Share of each task in the entries drawn, summing to 1, see :func:`task_shares`; or
            share of each task's real and pseudo entries separately, see :func:`origin_shares`.

    Returns:
        Columns step (from 0), row (from 0 in each step; entries of one row share an image) and
        entry_id; sorted by step and row.

    Raises:
        ImaxrayError: If there are no entries.
    """
    if entries.is_empty():
        raise ImaxrayError(
            "Expected training entries, but the train split is empty; build the dataset with "
            "more images or a lower min_tasks."
        )
    ordered = entries.sort("image_id", "entry_id")
    image = ordered["image_id"].rle_id().to_numpy().astype(np.int64)
    alone = layout == "separate"
    if shares is None:
        epochs = _plain(image, alone, seed)
    else:
        epochs = _mixed(image, _strata(ordered, shares), shares, alone, seed)
    total = steps * entries_per_step
    drawn: list[_Indices] = []
    groups: list[_Indices] = []
    have = 0
    while have < total:
        indices, group = next(epochs)
        drawn.append(indices)
        groups.append(group + (groups[-1][-1] + 1 if groups else 0))
        have += len(indices)
    index = np.concatenate(drawn)[:total]
    group = np.concatenate(groups)[:total]
    step = np.arange(total) // entries_per_step
    starts = np.ones(total, dtype=bool)  # of rows
    starts[1:] = (group[1:] != group[:-1]) | (step[1:] != step[:-1])
    number = np.cumsum(starts) - 1
    row = number - number[step * entries_per_step]
    return pl.DataFrame(
        {
            "step": step.astype(np.int32),
            "row": row.astype(np.int32),
            "entry_id": ordered["entry_id"].gather(index),
        }
    )


def once(
    entries: pl.DataFrame, *, layout: Layout, entries_per_step: int, most: int, seed: int
) -> pl.DataFrame:
    """Draw each entry once, at most ``most`` of them, in steps as those of :func:`schedule`.

    This is used for losses on the val split. The last step may have fewer entries.
    """
    total = min(most, entries.height)
    table = schedule(entries, layout=layout, entries_per_step=total, steps=1, seed=seed)
    step = pl.int_range(total, dtype=pl.Int32) // entries_per_step
    first = pl.col("row").min().over("step")
    return table.with_columns(step.alias("step")).with_columns((pl.col("row") - first).alias("row"))


def drawn_shares(entries: pl.DataFrame, config: TrainingConfig) -> dict[str, float] | None:
    """Return the share of each task, or of its real and its pseudo entries, among those drawn.

    Args:
        entries: Entries of the train split, with schema ENTRIES.
        config: Training configuration.
    """
    if config.real_share is not None:
        return origin_shares(entries, config.real_share)
    if config.task_shares == "real":
        return real_task_shares(entries)
    return task_shares(entries, config.weights, config.temperature)


def real_task_shares(entries: pl.DataFrame) -> dict[str, float]:
    """Return the share of each task among the real entries, whatever was derived or answered.

    A task without real entries counts by its derived entries, or, without those too, by its pseudo
    entries.

    Args:
        entries: Entries of the train split, with schema ENTRIES.

    Example:
        >>> columns = {"task": ["vqa"] * 3 + ["report"], "quality": [None] * 4}
        >>> sources = [["mimic-cxr-vqa"], ["derived"], ["derived"], ["mimic-cxr"]]
        >>> real_task_shares(pl.DataFrame({**columns, "sources": sources}))
        {'report': 0.5, 'vqa': 0.5}
    """
    counts = {task: real or derived or pseudo for task, real, derived, pseudo in _counts(entries)}
    total = sum(counts.values())
    return {task: count / total for task, count in counts.items()}


def task_shares(
    entries: pl.DataFrame,
    weights: Mapping[str, float] | None = None,
    temperature: float | None = None,
) -> dict[str, float] | None:
    """Return the share of each task in the entries drawn.

    Args:
        entries: Entries of the train split, with schema ENTRIES.
        weights: Relative shares; every task of the split must be named, and 0 leaves a task out.
        temperature: Temperature T of shares ∝ (entries of the task)^(1/T). T = 1 keeps the
            proportions of the entries; a large T gives all tasks nearly the same share.

    Returns:
        Mapping from task to share, or None if neither ``weights`` nor ``temperature`` is given and
        the entries keep their proportions.

    Raises:
        ImaxrayError: If ``weights`` does not name a task of the split, or gives a weight to a task
            that has no entries.

    Example:
        >>> entries = pl.DataFrame({"task": ["vqa"] * 9 + ["report"]})
        >>> task_shares(entries, temperature=2)
        {'report': 0.25, 'vqa': 0.75}
        >>> task_shares(entries, weights={"vqa": 1, "report": 1})
        {'report': 0.5, 'vqa': 0.5}
    """
    counts = dict(entries.group_by(pl.col("task").cast(pl.String)).len().sort("task").iter_rows())
    if weights is not None:
        missing = sorted(set(counts) - set(weights))
        empty = sorted(task for task, weight in weights.items() if weight and task not in counts)
        if missing or empty:
            problem = (
                f"{', '.join(missing)} has none" if missing else f"{', '.join(empty)} has no entry"
            )
            raise ImaxrayError(
                f"Expected a weight for each task of the train split ({', '.join(sorted(counts))}) "
                f"and no other, but {problem}; name every task, and give 0 to those to leave out."
            )
        raw = {task: float(weights[task]) for task in counts}
    elif temperature is not None:
        raw = {task: count ** (1 / temperature) for task, count in counts.items()}
    else:
        return None
    total = sum(raw.values())
    return {task: value / total for task, value in raw.items()}


def origin_shares(entries: pl.DataFrame, real_share: float) -> dict[str, float]:
    """Return the share of each task's known (``vqa``) and pseudo (``pseudo/vqa``) entries.

    Known entries are those that no model answered: the real and the derived ones. Each task keeps
    its share among the real entries, however many entries were derived or answered, because a task
    that is answered often and easily must not displace tasks that are not. In a task with both
    kinds, ``real_share`` is the share of known entries.

    Args:
        entries: Entries of the train split, with schema ENTRIES.
        real_share: in [0, 1].
    """
    tasks = real_task_shares(entries)
    shares: dict[str, float] = {}
    for task, real, derived, pseudo in _counts(entries):
        known = real + derived > 0
        of_known = real_share if known and pseudo else float(known)
        shares[task] = tasks[task] * of_known
        shares[_PSEUDO + task] = tasks[task] * (1 - of_known)
    return shares


def _counts(entries: pl.DataFrame) -> list[tuple[str, int, int, int]]:
    """Return for each task the number of its real, derived and pseudo entries."""
    pseudo, derived = pl.col(IS_PSEUDO), pl.col(IS_DERIVED) & ~pl.col(IS_PSEUDO)
    marked = mark_derived(mark_pseudo(entries))
    counted = marked.group_by(pl.col("task").cast(pl.String)).agg(
        (~pseudo & ~derived).sum().alias("real"),
        derived.sum().alias("derived"),
        pseudo.sum().alias("pseudo"),
    )
    return list(counted.sort("task").iter_rows())


def _strata(entries: pl.DataFrame, shares: Mapping[str, float]) -> pl.Series:
    """Return for each entry the key of ``shares`` that it belongs to."""
    task = entries["task"].cast(pl.String)
    if not any(name.startswith(_PSEUDO) for name in shares):
        return task
    return pl.select(pl.when(entries[IS_PSEUDO]).then(_PSEUDO + task).otherwise(task)).to_series()


def _number(name: str) -> int:
    """Return the number of a stratum, which seeds its random stream."""
    task = name.removeprefix(_PSEUDO)
    if task not in TASKS:  # of another package: whatever else is installed, the same stream
        return digest(name)
    return TASKS.index(task) + (len(TASKS) if task != name else 0)


def _plain(image: _Indices, alone: bool, seed: int) -> Iterator[tuple[_Indices, _Indices]]:
    """Yield the entries of each epoch in order, and the group of each entry."""
    bounds = np.flatnonzero(np.diff(image, prepend=-1))
    members = np.split(np.arange(len(image)), bounds[1:])
    for epoch in range(2**62):
        random = np.random.default_rng([seed, epoch])
        if alone:
            yield random.permutation(len(image)), np.arange(len(image))
        else:
            order = [random.permutation(members[k]) for k in random.permutation(len(members))]
            sizes = [len(group) for group in order]
            yield np.concatenate(order), np.repeat(np.arange(len(order)), sizes)


def _mixed(
    image: _Indices, task: pl.Series, shares: Mapping[str, float], alone: bool, seed: int
) -> Iterator[tuple[_Indices, _Indices]]:
    """Yield epochs as :func:`_plain` does, but with the given share of each task."""
    quotas = _apportion(len(image), shares)
    streams = {
        name: _cycles(np.flatnonzero((task == name).to_numpy()), quota, [seed, _number(name)])
        for name, quota in quotas.items()
        if quota
    }
    for epoch in range(2**62):
        random = np.random.default_rng([seed, epoch])
        drawn = np.concatenate([next(stream) for stream in streams.values()])
        if alone:
            yield random.permutation(drawn), np.arange(len(drawn))
            continue
        drawn = np.sort(drawn, kind="stable")
        # Count how often the epoch had the entry before, because a repeated entry is another row.
        first = np.searchsorted(drawn, drawn)
        again = np.arange(len(drawn)) - first
        _, group = np.unique(np.stack([image[drawn], again]), axis=1, return_inverse=True)
        place = random.permutation(int(group.max()) + 1)[group.ravel()]
        order = np.lexsort((random.random(len(drawn)), place))
        yield drawn[order], place[order]


def _cycles(members: _Indices, quota: int, seed: list[int]) -> Iterator[_Indices]:
    """Yield ``quota`` members at a time from successive permutations."""
    left = np.empty(0, dtype=np.int64)
    cycle = 0
    while True:
        parts = [left]
        while sum(map(len, parts)) < quota:
            random = np.random.default_rng([*seed, 1 + cycle])
            parts.append(random.permutation(members))
            cycle += 1
        stream = np.concatenate(parts)
        left = stream[quota:]
        yield stream[:quota]


def _apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Round shares to integers that sum to ``total`` (largest remainders, ties by name)."""
    exact = {name: total * share for name, share in sorted(shares.items())}
    quotas = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (quotas[name] - exact[name], name))
    for name in by_remainder[: total - sum(quotas.values())]:
        quotas[name] += 1
    return quotas
