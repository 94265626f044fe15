"""Measures for runs what drawing whole images does to the spectrum, apart from any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
from scipy import stats

from imaxray._common.files import write_csv
from imaxray.dynamics.comparing.config import RunDynamicsConfig
from imaxray.dynamics.comparing.runs import recorded
from imaxray.dynamics.grouping import MEAN, effects_table, groups_table, sharing_table
from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.numbers.intervals import Estimate
from imaxray.dynamics.numbers.power import seeds_needed, smallest_effect
from imaxray.errors import ImaxrayError
from imaxray.hashing import digests, mixed

if TYPE_CHECKING:
    from imaxray.curation import Dataset

SIZES: Final = (16, 32, 64, 128, 256, 512)
"""Numbers of entries N of a draw."""


@dataclass(frozen=True)
class GroupDynamics:
    """Holds what drawing whole images does; every table is also a file in the output folder.

    Attributes:
        sharing: Table in ``sharing.csv`` (schema SHARING): how alike gradients are within images.
        groups: Table in ``groups.csv`` (schema GROUPS): the change of SE, rho and H2 between draws
            of whole images and draws apart, observed, simulated and by formula.
        effects: Table in ``effects.csv`` from :func:`effects_table`: what a naive comparison of two
            arms is made of; empty without a second arm and its data.
        power: Table in ``power.csv`` from :func:`power_table`; empty without two arms of several
            runs.
        remarks: Sentences that a reader needs in order to interpret the numbers.
    """

    sharing: pl.DataFrame
    groups: pl.DataFrame
    effects: pl.DataFrame
    power: pl.DataFrame
    remarks: tuple[str, ...] = ()


def group_dynamics(
    runs: Sequence[Path],
    out: Path,
    config: RunDynamicsConfig,
    *,
    against: Sequence[Path] = (),
    data: Dataset | None = None,
    other_data: Dataset | None = None,
    contrast: pl.DataFrame | None = None,
) -> GroupDynamics:
    """Measure how entries of one image act on the spectrum, and split a naive comparison.

    Without ``data``, the probe that was recorded while ``runs`` were trained is the pool, at its
    first and last measurement. With ``data``, the pool is drawn from ``config.split`` by whole
    images and the final models are measured on it. With ``against`` and ``other_data``, both arms'
    final models are also measured on a pool of train entries of either dataset, and the difference
    that a naive comparison would report is split (:data:`EFFECTS`).

    Args:
        runs: Run folders of one arm, one per seed.
        out: Folder of the results. Measurements are kept there.
        config: Settings: pool, draws, split, seed, level.
        against: Run folders of the other arm, in the same order of seeds.
        data: Dataset of ``runs``.
        other_data: Dataset of ``against``.
        contrast: Table of :func:`compare_runs`, for the power of the comparison.

    Raises:
        ImaxrayError: If no image has several entries in a pool, there are too few images, or a run
            cannot be measured.
    """
    remarks: list[str] = []
    names = [str(run) for run in runs]
    effects = pl.DataFrame()
    if data is None:
        pools = {name: _recorded(Path(name)) for name in names}
    else:
        pools = {
            name: {max(found): found[max(found)]}
            for name, found in zip(names, _measured(runs, data, out, config), strict=True)
        }
        if other_data is not None:
            seeds = _crossed(runs, against, data, other_data, out, config)
            try:
                effects = effects_table(
                    seeds, SIZES, group=config.group, draws=config.draws, seed=config.seed,
                    level=config.level,
                )  # fmt: skip
            except ImaxrayError as error:  # the other tables are worth having without it
                remarks.append(f"The naive comparison is not split: {error}")
    sharing = sharing_table(pools, seed=config.seed, level=config.level)
    groups = groups_table(pools, SIZES, draws=config.draws, seed=config.seed, level=config.level)
    power = pl.DataFrame()
    if contrast is not None and not contrast.is_empty():
        power = power_table(
            contrast, groups, len(runs), config.size, group=config.group, level=config.level
        )
    images, entries = int(sharing["images"][0]), int(sharing["pool"][0])
    missing = [size for size in SIZES if size > images]
    if missing:
        remarks.append(
            f"The pool has {entries:,} entries of {images:,} images, so that no draw with one "
            f"entry per image has N = {', '.join(map(str, missing))}."
        )
    for name, table in (
        ("sharing", sharing),
        ("groups", groups),
        ("effects", effects),
        ("power", power),
    ):
        if not table.is_empty():
            write_csv(out / f"{name}.csv", table)
    return GroupDynamics(sharing, groups, effects, power, tuple(remarks))


def power_table(
    contrast: pl.DataFrame,
    groups: pl.DataFrame,
    seeds: int,
    probe: int,
    *,
    group: str,
    level: float = 0.95,
) -> pl.DataFrame:
    """Say what a study could have seen, and how many seeds the predicted effect would need.

    Args:
        contrast: Table of :func:`compare_runs`; its last measurement counts.
        groups: Table of :func:`groups_table`.
        seeds: Number of seeds of each arm.
        probe: Number of entries of the probe that the arms were compared on.
        group: Module group.
        level: Level of the intervals.

    Returns:
        One row per reduction and statistic: ``reduction``, ``statistic``, ``difference`` between
        the arms, ``smallest`` difference that would be found in 80 % of such studies, the change
        that drawing whole images alone would make (``predicted``, the simulated one) at the number
        of ``entries`` of a draw that is nearest to that of the probe, and the number of ``seeds``
        by which that would be found; null if a hundred thousand do not suffice.
    """
    rows = []
    last = contrast.filter(pl.col("entries_seen") == pl.col("entries_seen").max())
    at = groups.filter(
        pl.col("group") == group, pl.col("entries_seen") == groups["entries_seen"].max()
    )
    several = at.filter(run=MEAN)
    at = at if several.is_empty() else several
    for row in last.iter_rows(named=True):
        of = at.filter(reduction=row["reduction"], statistic=row["statistic"]).sort(
            (pl.col("entries") - probe).abs(), "entries"
        )
        if of.is_empty():
            continue
        half = (row["seeds_high"] - row["seeds_low"]) / 2
        error = half / float(stats.t.ppf((1 + level) / 2, seeds - 1))
        one = Estimate(row["difference"], row["seeds_low"], row["seeds_high"], error, seeds - 1)
        predicted = float(of["simulated"][0])
        rows.append(
            {
                "reduction": row["reduction"], "statistic": row["statistic"],
                "difference": row["difference"],
                "smallest": smallest_effect(one, level=level),
                "predicted": predicted, "entries": int(of["entries"][0]),
                "seeds": seeds_needed(predicted, error * seeds**0.5, level=level),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"seeds": pl.Int64})


def pool_entries(entries: pl.DataFrame, most: int, *, seed: int = 0) -> pl.DataFrame:
    """Choose whole images by the hash of their id, until another one would exceed ``most`` entries.

    Args:
        entries: Entries of one split, with schema ENTRIES.
        most: Largest number of entries.
        seed: Seed of the hash; another seed gives another pool.

    Returns:
        The chosen rows sorted by ``entry_id``, with ``stratum`` (the task).

    Raises:
        ImaxrayError: If no image fits.
    """
    counts = entries.group_by("image_id").len().sort("image_id")
    order = counts.with_columns(pl.Series("_hash", mixed(digests(counts["image_id"]), seed))).sort(
        "_hash", "image_id"
    )
    fitting = order.filter(pl.col("len").cum_sum() <= most)["image_id"]
    if not len(fitting):
        raise ImaxrayError(
            f"Expected entries of whole images for a pool of at most {most} entries, but none "
            "fits; take a larger --pool, or another --split."
        )
    chosen = entries.filter(pl.col("image_id").is_in(fitting.implode())).sort("entry_id")
    return chosen.with_columns(pl.col("task").cast(pl.String).alias("stratum"))


def _recorded(run: Path) -> dict[int, Gram]:
    files = recorded(run)
    return {seen: Gram.read(files[seen]) for seen in sorted({min(files), max(files)})}


def _measured(
    runs: Sequence[Path], data: Dataset, out: Path, config: RunDynamicsConfig
) -> list[dict[int, Gram]]:
    rows = pool_entries(data.tables.split(config.split), config.pool, seed=config.seed)
    return _grams(runs, {f"pool-{config.split}": (data, rows)}, out, config)[f"pool-{config.split}"]


def _crossed(
    runs: Sequence[Path],
    against: Sequence[Path],
    data: Dataset,
    other_data: Dataset,
    out: Path,
    config: RunDynamicsConfig,
) -> list[dict[tuple[int, int], Gram]]:
    """Measure the final models of both arms on a pool of train entries of either dataset."""
    pools = {
        f"pool-train-{number}": (
            of, pool_entries(of.tables.split("train"), config.pool, seed=config.seed)
        )
        for number, of in enumerate((data, other_data))
    }  # fmt: skip
    grams = _grams([*runs, *against], pools, out, config)
    return [
        {
            (model, number): _final(grams[f"pool-train-{number}"][seed + model * len(runs)])
            for model in (0, 1)
            for number in (0, 1)
        }
        for seed in range(len(runs))
    ]


def _final(found: Mapping[int, Gram]) -> Gram:
    return found[max(found)]


def _grams(
    runs: Sequence[Path],
    pools: Mapping[str, tuple[Dataset, pl.DataFrame]],
    out: Path,
    config: RunDynamicsConfig,
) -> dict[str, list[dict[int, Gram]]]:
    from imaxray.dynamics.probing.finished_runs import (
        RunProbe,
        measure_runs,
    )  # imported late, because it needs torch

    folders = measure_runs(
        runs, {name: RunProbe(data, rows) for name, (data, rows) in pools.items()}, out,
        device=config.device, tokens_per_batch=config.tokens_per_batch,
    )  # fmt: skip
    return {
        name: [{seen: Gram.read(file) for seen, file in recorded(folder).items()} for folder in of]
        for name, of in folders.items()
    }
