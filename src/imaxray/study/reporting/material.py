"""Holds what a study folder offers to the sections of its report, each part read when needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.defaults import STUDY_EXAMPLES
from imaxray._common.files import read_parquet
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source, published_sources
from imaxray.study.config import StudyConfig
from imaxray.study.places import answer_folder, run_folder
from imaxray.study.results.outcome import ModelOutcome, StudyOutcome

_MOST_ARMS: Final = 3
"""Number of arms whose single answers are shown, so that figures can be read."""


@dataclass(frozen=True)
class Material:
    """A finished study, as its folder holds it.

    Attributes:
        outcome: Outcome of the study.
        images: Number of test images to show with their questions and answers; None: as many as the
            configuration and the licences of the releases allow.
    """

    outcome: StudyOutcome
    images: int | None = None

    @property
    def config(self) -> StudyConfig:
        """Configuration of the study."""
        return self.outcome.config

    @property
    def out(self) -> Path:
        """Study folder."""
        return self.outcome.out

    @property
    def several(self) -> bool:
        """Whether the study has several models."""
        return len(self.outcome.models) > 1

    @cached_property
    def imax(self) -> Dataset:
        """The IMAX dataset, whose test split all arms answered."""
        return open_dataset(self.out / "imax")

    @cached_property
    def dmax(self) -> Dataset:
        """The DMAX dataset."""
        return open_dataset(self.out / "dmax")

    @cached_property
    def test(self) -> pl.DataFrame:
        """Test entries."""
        return self.imax.tables.split("test")

    @cached_property
    def main(self) -> str | None:
        """The arm that the verdict is about: imax, else the first that is no reference."""
        arms = [arm for arm in self.config.arms if arm != self.config.reference]
        order = (
            [arm for arm in arms if arm == "imax"],
            [a for a in arms if self.config.arms[a].budget == "entries"],
            [a for a in arms if self.config.arms[a].budget == "compute"],
            arms,
        )
        return next((found[0] for found in order if found), None)

    @cached_property
    def compute(self) -> str | None:
        """The arm of equal compute that has the data and layout of the main arm, if any."""
        if self.main is None:
            return None
        wanted = self.config.arms[self.main].model_copy(update={"budget": "compute"})
        return next((name for name, arm in self.config.arms.items() if arm == wanted), None)

    @cached_property
    def detailed(self) -> list[str]:
        """The arms whose single answers are shown: reference, main arm, and at most one more."""
        first = [self.config.reference, self.main, self.compute, *self.config.arms]
        return list(dict.fromkeys(arm for arm in first if arm is not None))[:_MOST_ARMS]

    def answers(self, model: str, arm: str) -> list[pl.DataFrame]:
        """Return the scored answers of an arm, one table per seed.

        Raises:
            ImaxrayError: If the answers are damaged or not there.
        """
        tables = []
        for seed in self.config.training_seeds:
            folder = answer_folder(run_folder(self.config, self.out, model, arm, seed))
            path = folder / "scores.parquet"
            if not path.is_file():
                raise ImaxrayError(
                    f"Expected scored answers at {path}, but there are none; run the study again."
                )
            tables.append(read_parquet(path))
        return tables

    def run(self, model: ModelOutcome, arm: str, seed: int) -> Path:
        """Return the folder of a run."""
        return run_folder(self.config, self.out, model.name, arm, seed)

    @property
    def shown(self) -> int:
        """Number of test images to show with their questions and answers."""
        return example_count(self.config, self.imax) if self.images is None else self.images


def example_count(config: StudyConfig, dataset: Dataset) -> int:
    """Return how many test images a report shows, with their questions and answers.

    Unless the study asks for a number, images of credentialed releases, of releases that need a
    registration, and of one's own are not shown, because a report is passed on more easily than a
    dataset.
    """
    if config.evaluation.examples is not None:
        return config.evaluation.examples
    if config.phantom is None:
        known = published_sources()
        names = {file.source for file in dataset.tables.files}
        if not all(name in known and get_source(name).access == "open" for name in names):
            return 0
    return STUDY_EXAMPLES


WITHHELD: Final = (
    "not all releases are open, so no image, question or answer is shown; `imaxray report "
    "--images NUMBER`, or `evaluation.examples` of the study, shows them"
)
"""Why a report shows no text and no pixels of patients."""
