"""Says how much of a study's dynamics can come from entries that share images alone.

The study has measured everything already: the fixed probe during training, and probes of whole
images of both arms' train entries after it. Nothing is measured again here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from imaxray.dynamics import (
    Gram,
    effects_table,
    groups_table,
    power_table,
    recorded,
    sharing_table,
)
from imaxray.errors import ImaxrayError
from imaxray.study.probes import ROLES, crossed_name, crossed_path

SIZES: Final = (16, 32, 64, 128)
"""Numbers of entries N of a draw; a probe is too small for more."""

DRAWS: Final = 50
"""Number of draws of each way; the interval covers their error."""

TABLES: Final = ("sharing", "groups", "effects", "power")
"""Names of the tables, which are also their files ``NAME.csv``."""


@dataclass(frozen=True)
class SharedImages:
    """What entries that share images do to the dynamics of a study.

    Attributes:
        sharing: Schema SHARING: how alike gradients of the fixed probe are within images, under the
            models of imax, before and after training; empty if it could not be made, as all others.
        groups: Schema GROUPS: what drawing whole images of that probe does to SE, rho and H2.
        effects: Result of :func:`effects_table` after training: what a naive comparison of the arms
            is made of.
        power: Result of :func:`power_table`: the smallest difference that the study could have
            found, and the seeds that the effect of drawing whole images would need.
        not_made: Name of a table → reason why it could not be made.
    """

    sharing: pl.DataFrame = field(default_factory=pl.DataFrame)
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    effects: pl.DataFrame = field(default_factory=pl.DataFrame)
    power: pl.DataFrame = field(default_factory=pl.DataFrame)
    not_made: Mapping[str, str] = field(default_factory=dict)


def shared_images(
    runs: Mapping[str, Sequence[Path]], contrast: pl.DataFrame, *, seed: int, level: float
) -> SharedImages:
    """Compute the tables from the measurements of finished runs.

    Args:
        runs: Arm (imax, dmax) → its run folders, in the order of the seeds.
        contrast: Table of :func:`compare_runs`; empty with one seed.
        seed: Random seed of the draws.
        level: Confidence level.
    """
    made: dict[str, pl.DataFrame] = {}
    failed: dict[str, str] = {}
    grams = {str(run): _ends(run) for run in runs["imax"]}
    try:
        made["sharing"] = sharing_table(grams, permutations=500, seed=seed, level=level)
        made["groups"] = groups_table(grams, SIZES, draws=DRAWS, seed=seed, level=level)
    except ImaxrayError as error:
        failed["groups"] = str(error)
    crossed = [_crossed(pair) for pair in zip(runs["imax"], runs["dmax"], strict=True)]
    if all(crossed):
        try:
            made["effects"] = effects_table(crossed, SIZES, draws=DRAWS, seed=seed, level=level)
        except ImaxrayError as error:
            failed["effects"] = str(error)
    else:
        failed["effects"] = "There are no probes of whole images of both arms' train entries."
    groups = made.get("groups")
    if groups is not None and not groups.is_empty() and not contrast.is_empty():
        seeds = len(runs["imax"])
        made["power"] = power_table(
            contrast, groups, seeds, len(_final(grams)), group="all", level=level
        )
    return SharedImages(**made, not_made=failed)


def _ends(run: Path) -> dict[int, Gram]:
    """Read the first and the last measurement of the fixed probe."""
    files = recorded(run)
    return {seen: Gram.read(files[seen]) for seen in sorted({min(files), max(files)})}


def _final(grams: Mapping[str, Mapping[int, Gram]]) -> Gram:
    """Return the last measurement of a run; all runs have the same probe."""
    found = next(iter(grams.values()))
    return found[max(found)]


def _crossed(pair: tuple[Path, Path]) -> dict[tuple[int, int], Gram]:
    """Read the measurements of both models on the probes of whole images; empty if there are none.

    Args:
        pair: Runs of imax and dmax with the same seed.
    """
    paths = {
        (model, data): crossed_path(run, crossed_name("together", role))
        for model, run in enumerate(pair)
        for data, role in enumerate(ROLES)
    }
    if not all(path.is_file() for path in paths.values()):
        return {}
    return {cell: Gram.read(path) for cell, path in paths.items()}
