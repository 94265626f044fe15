"""Holds the tables of training dynamics of a study, and reads them from its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from imaxray._common.files import read_own_csv, read_parquet
from imaxray._common.state import read_state
from imaxray.study.results import sentences
from imaxray.study.results.shared_images import TABLES, SharedImages

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig


@dataclass(frozen=True)
class StudyDynamics:
    """Training dynamics of the arms ``imax`` and ``dmax``; ``dynamics/`` holds the same tables.

    Attributes:
        seeds: Number of training runs per arm.
        spectra: ``spectra.parquet``: the table SPECTRA with arm and seed, on the fixed probe.
        contrast: ``contrast.csv``: result of :func:`compare_runs` at every measured number of
            entries seen; empty with one seed.
        crossed: ``crossed.csv``: result of :func:`crossed_over_seeds` after training, one row per
            draw, reduction and statistic. It holds the values of both models on both probes, and
            own, model, probe and interaction as means over seeds (low, high: interval over seeds
            and probes; seeds_low, seeds_high: interval over seeds only).
        tasks: ``tasks.csv``: mean cosine and conflict rate of task pairs after training, with and
            without pairs of entries of one image, for both arms and their difference.
        curve: ``n_curve.csv``: statistics at N/4, N/2 and N entries of the probe after training.
        not_made: Draw → reason why its probes could not be made.
        shared: ``sharing.csv``, ``groups.csv``, ``effects.csv``, ``power.csv``: what entries that
            share images do to these statistics without any difference in training.
    """

    seeds: int
    spectra: pl.DataFrame
    contrast: pl.DataFrame
    crossed: pl.DataFrame
    tasks: pl.DataFrame
    curve: pl.DataFrame
    not_made: dict[str, str]
    shared: SharedImages = field(default_factory=SharedImages)

    def sentences(self) -> list[str]:
        """Describe all results in sentences, whichever arm they favour."""
        return [
            *sentences.contrast(self.contrast, self.spectra, self.seeds),
            *sentences.crossed(self.crossed, self.seeds),
            *sentences.tasks(self.tasks, self.seeds),
            *sentences.shared_images(self.shared.groups, self.shared.effects, self.shared.power),
            *(
                f"Probes of train entries ({draw}) could not be made: {why}"
                for draw, why in self.not_made.items()
            ),
        ]

    def summary(self) -> list[str]:
        """Describe the main results in few sentences."""
        return [
            *sentences.contrast(self.contrast, self.spectra, self.seeds)[:1],
            *sentences.crossed(self.crossed, self.seeds)[:1],
            *sentences.power(self.shared.power)[:1],
        ]


def read_dynamics(config: StudyConfig, out: Path) -> StudyDynamics:
    """Read the tables that :func:`study_dynamics` wrote into ``dynamics/``.

    Args:
        config: Configuration of the study.
        out: Study folder with the finished runs.

    Raises:
        ImaxrayError: If a table is damaged.
        OSError: If a table is missing.
    """
    folder = out / "dynamics"
    return StudyDynamics(
        len(config.training_seeds),
        spectra=read_parquet(folder / "spectra.parquet"),
        contrast=read_own_csv(folder / "contrast.csv"),
        crossed=read_own_csv(folder / "crossed.csv"),
        tasks=read_own_csv(folder / "tasks.csv"),
        curve=read_own_csv(folder / "n_curve.csv"),
        not_made=read_state(
            folder / "not_made.json", advice="remove it, so that the probes are made again"
        ),
        shared=_read_shared(folder),
    )


def _read_shared(folder: Path) -> SharedImages:
    """Read the tables about shared images; a study of an earlier version has none."""
    told = folder / "shared_images.json"
    if not told.is_file():
        return SharedImages(not_made={"groups": "the study is of an earlier version"})
    return SharedImages(
        **{name: read_own_csv(folder / f"{name}.csv") for name in TABLES},
        not_made=read_state(told, advice="run the study again, which compares its arms again"),
    )
