"""Reads an ablation from YAML: a study whose arms are a strategy with parts left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from imaxray._common.config import read_yaml, validated
from imaxray._common.defaults import MOST_PROCESSES, MOST_STEPS
from imaxray.ablation.arms import ARMS, EQUAL_COMPUTE, REFERENCE, WHOLE, ArmName, arm_strategy
from imaxray.configs.builtin import find_config, instead_of, require_kind
from imaxray.schema import TaskName
from imaxray.strategy import StrategyConfig
from imaxray.study.config import StudyConfig


class AblationBlock(BaseModel):
    """Options of an ablation: its arms, its seeds and the number of processes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    arms: tuple[ArmName, ...] = Field(default=tuple(ARMS), description="Arms to train.")
    seeds: tuple[NonNegativeInt, ...] = Field(
        default=(0, 1, 2), min_length=1, description="Seeds of each arm."
    )
    lanes: int = Field(
        default=2,
        ge=1,
        le=MOST_PROCESSES,
        description="Number of processes; it never changes the result of an arm.",
    )
    specialists: dict[TaskName, PositiveInt] = Field(
        default_factory=lambda: {"calculation": 150, "rec": 150},
        description="Tasks that specialists answer in the arm + specialists, each with the number "
        "of optimizer steps of its specialist.",
    )
    compute_of: ArmName = Field(
        default=WHOLE,
        description="Arm whose training and annotation need as much compute as dmax (equal "
        "compute) is trained with.",
    )


class PretrainingConfig(BaseModel):
    """Options of the pretraining that stands for the pretraining of a medical MLLM."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tasks: tuple[TaskName, ...] = Field(
        default=("report",), min_length=1, description="Tasks that the model has been trained on."
    )
    steps: int = Field(
        ge=1,
        le=MOST_STEPS,
        description="Number of optimizer steps of training.entries_per_step entries, packed.",
    )


class AblationConfig(StudyConfig):
    """Options of a study with the blocks ``strategy:`` and ``ablation:``.

    ``strategy:`` has the keys of a strategy (docs/strategy.md) except data and model. ``training:``
    applies to all stages of all arms. The sum of the stages' ``steps`` is the number of steps of
    every arm except ``dmax (equal compute)``.
    """

    pretraining: PretrainingConfig | None = Field(
        default=None,
        description="Pretraining of the model that all arms start from; default: none.",
    )
    strategy: StrategyConfig = Field(description="The strategy whose parts are left out.")
    ablation: AblationBlock = Field(
        default=AblationBlock(), description="Arms, seeds and processes."
    )

    @model_validator(mode="after")
    def _staged(self) -> AblationConfig:
        strategy = self.strategy
        if any(stage.steps is None for stage in strategy.stages):
            raise ValueError("every stage of an ablation needs steps; give steps, not epochs")
        if strategy.rounds != 1 or not strategy.opening or not strategy.loop:
            raise ValueError(
                "an ablation needs one round, first a stage on dmax or derived, and later one on "
                "pseudo or mix"
            )
        given = [n for n in ("data", "model", "phantom") if getattr(strategy, n) is not None]
        if given:
            raise ValueError(f"leave {', '.join(given)} out of strategy; the study sets them")
        if REFERENCE not in self.ablation.arms:
            raise ValueError(f"all arms are compared with {REFERENCE}; add it to arms")
        return self

    @property
    def steps(self) -> int:
        """Number of optimizer steps of every arm except ``dmax (equal compute)``."""
        return sum(stage.steps or 0 for stage in self.strategy.stages)

    def content(self) -> dict[str, Any]:
        """Return all options except the paths of a machine; they can be read again."""
        content = super().content()
        for name in ("seed", "round"):  # the strategy sets them, so that no file may give them
            content["strategy"]["annotate"].pop(name, None)
        return content

    def needed(self) -> tuple[ArmName, ...]:
        """Return the arms to train: the configured ones, and the one that equal compute needs."""
        named = set(self.ablation.arms)
        if EQUAL_COMPUTE in named:
            named.add(self.ablation.compute_of)
        return tuple(arm for arm in ARMS if arm in named)

    def arm(
        self, name: ArmName, out: Path, init: Path, seed: int, *, steps: int | None = None
    ) -> StrategyConfig:
        """Return the strategy of an arm.

        Args:
            name: Name of the arm.
            out: Study folder.
            init: Folder of the model that the arms start from.
            seed: Seed of weights, schedules and sampling.
            steps: Number of optimizer steps of ``dmax (equal compute)``; other arms ignore it.
        """
        training = {**self.training.model_dump(mode="json"), **self.strategy.training}
        common: dict[str, Any] = {
            "data": out / ARMS[name].data,
            "truth": out / "catalog",
            "model": str(init),
            "seed": seed,
            "training": {**training, "epochs": None},
            "max_new_tokens": self.evaluation.max_new_tokens,
        }
        length = (steps if name == EQUAL_COMPUTE else None) or self.steps
        return arm_strategy(
            name, self.strategy, common, steps=length, specialists=self.ablation.specialists
        )


def load_study(path: str | Path) -> StudyConfig | AblationConfig:
    """Read a study's YAML; a file with a block ``strategy`` is an ablation.

    Args:
        path: YAML file, or name of a built-in configuration (``phantom``, ``ablation``).

    Raises:
        ImaxrayError: If the file is missing or is not YAML, or if it has an unknown key or a bad
            value.
    """
    path = find_config(path)
    content = read_yaml(path, what="a study configuration", advice=instead_of(path))
    require_kind(content, path, "study")
    if "strategy" not in content:
        return validated(StudyConfig, content, where=str(path), see="docs/study.md")
    see = "docs/strategy.md and docs/study.md"
    return validated(AblationConfig, content, where=str(path), see=see)
