"""A study as YAML: everything that decides its result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from imaxray._config import read_yaml, validated
from imaxray.configs.builtin import find_config, instead_of
from imaxray.errors import ImaxrayError
from imaxray.models import PhantomConfig
from imaxray.study.build import DataConfig
from imaxray.training import TrainingConfig


class PhantomRelease(BaseModel):
    """The synthetic cohort a study writes for itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = Field(2000, ge=20)
    seed: int = 0


class EvaluationConfig(BaseModel):
    """How arms are evaluated and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_new_tokens: int = Field(96, ge=1)
    images_per_batch: int = Field(16, ge=1)
    resamples: int = Field(2000, ge=100, description="bootstrap draws of patients")
    level: float = Field(0.95, gt=0, lt=1)
    examples: int = Field(12, ge=0, description="test images shown in the report")


class DynamicsConfig(BaseModel):
    """What is measured of the arms' optimisation (docs/dynamics.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probe: int = Field(
        252, ge=28, description="entries of a probe, four a task or more; the same for all runs"
    )
    every: int = Field(2048, ge=1, description="entries seen between two measurements")


class StudyConfig(DataConfig):
    """One study: releases → IMAX and DMAX → arms → comparison."""

    title: str
    phantom: PhantomRelease | None = Field(None, description="write a synthetic cohort first")
    root: Path | None = Field(None, description="folder that holds the releases")
    root_env: str | None = Field(None, description="environment variable that overrides root")
    releases: dict[str, str] = Field(
        default_factory=dict, description="source name → folder inside root; with phantom: all"
    )
    workers: int = Field(2, ge=1)
    seeds: Annotated[int, Field(ge=1)] | tuple[int, ...] = Field(
        1, description="trainings an arm: so many from ``seed`` on, or these"
    )
    model: PhantomConfig = PhantomConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    dynamics: DynamicsConfig | None = Field(None, description="measured only where given")

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(seeds, tuple) and (not seeds or len(set(seeds)) < len(seeds)):
            raise ValueError("seeds must be a number, or a list of different seeds")
        return seeds

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """Seeds of initial weights and schedules; the data are of ``seed`` in all of them."""
        if isinstance(self.seeds, tuple):
            return self.seeds
        return tuple(range(self.seed, self.seed + self.seeds))

    def release_paths(self, out: Path, root: Path | None) -> dict[str, Path]:
        """Folder of each release: ``root`` argument, environment, config, in this order.

        Raises:
            ImaxrayError: neither a phantom nor a root is named, or the root is no folder.
        """
        if self.phantom is not None:
            base = out / "releases"
            return {p.name: p for p in sorted(base.iterdir()) if p.is_dir() and p.name != "truth"}
        from_env = os.environ.get(self.root_env) if self.root_env else None
        base_path = root or (Path(from_env) if from_env else self.root)
        if base_path is None or not base_path.is_dir():
            raise ImaxrayError(
                f"Expected the folder of the releases, but {base_path or 'none'} is none; give it "
                f"with --root{f' or ${self.root_env}' if self.root_env else ''}."
            )
        return {name: base_path / folder for name, folder in sorted(self.releases.items())}

    def data(self) -> DataConfig:
        """The part that decides the datasets."""
        return DataConfig(**{name: getattr(self, name) for name in DataConfig.model_fields})

    def content(self) -> dict[str, Any]:
        """What decides the data: without paths of a machine and without the number of workers."""
        return self.model_dump(mode="json", exclude={"root", "root_env", "workers"})


def load_config(path: str | Path) -> StudyConfig:
    """Read a study's YAML.

    Args:
        path: a YAML file, or the name of a built-in configuration (``phantom``).

    Raises:
        ImaxrayError: the file is missing, no YAML, or has an unknown key or a bad value.
    """
    path = find_config(path)
    content = read_yaml(path, what="a study configuration", advice=instead_of(path))
    return validated(StudyConfig, content, where=str(path), see="docs/study.md")
