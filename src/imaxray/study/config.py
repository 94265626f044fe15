"""Reads a study from YAML; the file holds every option that its result depends on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from imaxray._common.config import read_yaml, validated
from imaxray._common.defaults import (
    MOST_IMAGES,
    MOST_NEW_TOKENS,
    MOST_PROCESSES,
    MOST_RESAMPLES,
    PHANTOM_IMAGES,
    RESAMPLES,
    STUDY_EXAMPLES,
)
from imaxray.configs.builtin import find_config, instead_of, require_kind
from imaxray.curation import ExcludeConfig
from imaxray.errors import ImaxrayError
from imaxray.metrics import NORMALISATION, Normalisation
from imaxray.models import PhantomConfig
from imaxray.study.arms import (
    DEFAULT_ARMS,
    PROBED,
    REFERENCE,
    StudyArm,
    pilot,
    require_different_folders,
)
from imaxray.study.build import DataConfig
from imaxray.study.model import PHANTOM, StudyModel, named_models
from imaxray.training import TrainingConfig


class PhantomRelease(BaseModel):
    """Options of the synthetic cohort that a study writes and uses."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    images: int = Field(
        default=PHANTOM_IMAGES, ge=20, le=MOST_IMAGES, description="Number of radiographs."
    )
    seed: int = Field(default=0, ge=0, description="Random seed of the cohort.")

    def description(self) -> str:
        """Describe the cohort as a methods paragraph does."""
        return f"a synthetic cohort of {self.images:,} phantom radiographs (seed {self.seed})"


class OwnRelease(BaseModel):
    """Names a release of your own by its `source.yaml` (docs/own-data.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(
        description="Path of the `source.yaml`, relative to root; without a root, to the current "
        "folder."
    )


class EvaluationConfig(BaseModel):
    """Options that say how arms are evaluated and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_new_tokens: int = Field(
        default=96,
        ge=1,
        le=MOST_NEW_TOKENS,
        description="Maximum number of tokens per answer; longer answers are cut.",
    )
    images_per_batch: int = Field(
        default=16, ge=1, description="Maximum number of images that are encoded together."
    )
    resamples: int = Field(
        default=RESAMPLES,
        ge=100,
        le=MOST_RESAMPLES,
        description="Number of bootstrap samples of patients.",
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the intervals.")
    normalisation: Normalisation = Field(
        default=NORMALISATION,
        description="How texts are made comparable: radiology (docs/normalisation.md), or squad "
        "for comparisons with published token F1.",
    )
    examples: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description=f"Number of test images with questions and answers in the report; default: "
        f"{STUDY_EXAMPLES} if all releases are synthetic or open, else none, so that the report "
        "may be passed on.",
    )


class DynamicsConfig(BaseModel):
    """Options of the measurements of the arms' training dynamics (docs/dynamics.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    probe: int = Field(
        default=252,
        ge=28,
        description="Number of entries of the probe, which is the same for all runs; at least four "
        "per task.",
    )
    every: int = Field(
        default=2048, ge=1, description="Number of entries seen between two measurements."
    )


class StudyConfig(DataConfig):
    """Options of a study: releases → IMAX and DMAX → arms → comparison."""

    title: str = Field(description="Title of the report.")
    phantom: PhantomRelease | None = Field(
        default=None, description="Synthetic cohort that the study writes and uses."
    )
    root: Path | None = Field(default=None, description="Folder that holds the releases.")
    root_env: str | None = Field(
        default=None, description="Environment variable that overrides root."
    )
    releases: dict[str, str | OwnRelease] = Field(
        default_factory=dict,
        description="Name of each source → its folder inside root, or `{source: PATH}` for a "
        "release of your own; a phantom uses all of its releases.",
    )
    exclude: ExcludeConfig | None = Field(
        default=None,
        description="Your marks (`imaxray view`) that leave images and annotations out: a file, or "
        "`{marks: FILE, verdicts: [wrong, doubtful]}`; default: none.",
    )
    workers: int = Field(default=2, ge=1, le=MOST_PROCESSES, description="Number of processes.")
    seeds: Annotated[int, Field(ge=1, le=1000)] | tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=1,
        description="Number of training runs per arm, with seeds from ``seed`` on, or a list of "
        "seeds.",
    )
    model: PhantomConfig = Field(
        default=PhantomConfig(),
        description="Shape of the phantom model, for a study without `models`.",
    )
    models: dict[str, StudyModel] = Field(
        default_factory=dict,
        description="Name of each model → its options, or a list of names that `imaxray models` "
        "lists; default: one phantom.",
    )
    arms: dict[str, StudyArm] = Field(
        default=DEFAULT_ARMS,
        description="Name of each arm → its data, layout and budget; default: dmax, imax, and imax "
        "at equal compute, all packed.",
    )
    reference: str = Field(
        default=REFERENCE, description="Arm that relative gains are taken against."
    )
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="How each arm is trained."
    )
    evaluation: EvaluationConfig = Field(
        default=EvaluationConfig(), description="How arms are evaluated and compared."
    )
    dynamics: DynamicsConfig | None = Field(
        default=None, description="Measurements of the arms' training dynamics; default: none."
    )

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(seeds, tuple) and (not seeds or len(set(seeds)) < len(seeds)):
            raise ValueError("seeds must be a number or a list of different seeds")
        return seeds

    @field_validator("exclude", mode="before")
    @classmethod
    def _file(cls, exclude: Any) -> Any:
        return {"marks": exclude} if isinstance(exclude, str | Path) else exclude

    @field_validator("models", mode="before")
    @classmethod
    def _by_name(cls, models: Any) -> Any:
        return named_models(models)

    @model_validator(mode="after")
    def _planned(self) -> StudyConfig:
        require_different_folders(list(self.arms), "arms")
        require_different_folders(list(self.models), "models")
        reference = self.arms.get(self.reference)
        if reference is None:
            raise ValueError(
                f"the reference {self.reference!r} is no arm; the arms are {', '.join(self.arms)}"
            )
        if reference.budget != "entries":
            raise ValueError("the reference needs budget: entries, since budgets follow from it")
        for name, arm in self.arms.items():
            if arm.budget == "compute":
                pilot(self.arms, name)
        if self.dynamics is not None and (
            len(self.models) > 1 or any(name not in self.arms for name in PROBED)
        ):
            raise ValueError("dynamics needs one model, and the arms dmax and imax")
        return self

    @property
    def all_models(self) -> dict[str, StudyModel]:
        """Name → options of each model; a phantom of the shape ``model`` if none is named."""
        return self.models or {PHANTOM: StudyModel(phantom=self.model)}

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """Seeds of initial weights and schedules; all of them train on the data of ``seed``.

        Example:
            >>> StudyConfig(title="Three seeds", seed=5, seeds=3).training_seeds
            (5, 6, 7)
        """
        if isinstance(self.seeds, tuple):
            return self.seeds
        return tuple(range(self.seed, self.seed + self.seeds))

    def release_paths(self, out: Path, root: Path | None) -> dict[str, Path]:
        """Return the folder of each release.

        The folder that holds the releases is ``root``, else the environment variable
        ``root_env``, else the ``root`` of the configuration. A phantom uses ``out/releases``.

        Args:
            out: Study folder.
            root: Folder that holds the releases; None: as configured.

        Raises:
            ImaxrayError: If neither a phantom nor a root is given, or if the root is not a folder.
        """
        if self.phantom is not None:
            base = out / "releases"
            return {p.name: p for p in sorted(base.iterdir()) if p.is_dir() and p.name != "truth"}
        from_env = os.environ.get(self.root_env) if self.root_env else None
        base_path = root or (Path(from_env) if from_env else self.root)
        own_only = all(isinstance(at, OwnRelease) for at in self.releases.values())
        if base_path is None and self.releases and own_only:
            base_path = Path()
        option = f"--root FOLDER{f' or set ${self.root_env}' if self.root_env else ''}"
        if base_path is None:
            raise ImaxrayError(f"No folder of releases was given; pass {option}.")
        if not base_path.is_dir():
            raise ImaxrayError(
                f"Expected the folder of the releases at {base_path}, but it is not a folder; "
                f"pass {option}."
            )
        return {
            name: base_path / (at.source if isinstance(at, OwnRelease) else at)
            for name, at in sorted(self.releases.items())
        }

    def data(self) -> DataConfig:
        """Return the options that the datasets depend on."""
        return DataConfig(**{name: getattr(self, name) for name in DataConfig.model_fields})

    @property
    def cohort(self) -> str | None:
        """Description of the synthetic cohort; None if the releases are real."""
        return None if self.phantom is None else self.phantom.description()

    def content(self) -> dict[str, Any]:
        """Return all options except the paths of a machine and the number of workers."""
        content = self.model_dump(mode="json", exclude={"root", "root_env", "workers"})
        if self.exclude is None:
            del content["exclude"]  # as before there were marks, so that records still match
        else:
            content["exclude"]["marks"] = self.exclude.marks.name
        return content


def load_config(path: str | Path) -> StudyConfig:
    """Read a study's YAML.

    Args:
        path: YAML file, or name of a built-in configuration (``phantom``).

    Raises:
        ImaxrayError: If the file is missing or is not YAML, or if it has an unknown key or a bad
            value.
    """
    path = find_config(path)
    content = read_yaml(path, what="a study configuration", advice=instead_of(path))
    require_kind(content, path, "study")
    return validated(StudyConfig, content, where=str(path), see="docs/study.md")


def require_releases(config: StudyConfig, root: Path | None) -> None:
    """Check that a folder of releases is given only to a study that reads releases.

    Raises:
        ImaxrayError: The study writes a phantom, and would ignore the folder.
    """
    if root is not None and config.phantom is not None:
        raise ImaxrayError(
            "Expected --root with a study of downloaded releases, but this one writes its own "
            "synthetic releases (phantom:); leave out --root, or name another configuration."
        )
