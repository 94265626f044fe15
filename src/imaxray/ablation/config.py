"""Reads an ablation from YAML: a study whose arms are a strategy with parts left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray._config import read_yaml, validated
from imaxray.ablation.dense_data import DENSE
from imaxray.configs.builtin import find_config, instead_of, require_kind
from imaxray.schema import TaskName
from imaxray.strategy import StageConfig, StrategyConfig
from imaxray.study.config import StudyConfig

ArmName = Literal[
    "dmax",
    "dmax (equal compute)",
    "real again",
    "+ pseudo",
    "+ confidence",
    "+ consistency",
    "+ both filters",
    "+ balance",
    "three stages",
    "three stages, chosen",
    "two rounds",
    "+ right ones",
    "true answers",
    "imax",
]
WHOLE: Final = "three stages"
REFERENCE: Final = "dmax"
CHOSEN: Final = "three stages, chosen"
AGAIN: Final = "real again"
EQUAL_COMPUTE: Final = "dmax (equal compute)"
_FILTERS: Final = {
    "+ pseudo": (False, False, False),
    "+ right ones": (False, False, False),
    "+ confidence": (True, False, False),
    "+ consistency": (False, True, False),
    "+ both filters": (True, True, False),
    "+ balance": (True, True, True),
}
"""Arm → whether it uses the filters confidence, consistency and balance."""

_DATA: Final = {"imax": "imax", "true answers": DENSE}
"""Arm → folder of its data, for the arms that are not trained on the data of dmax."""

MEANS: Final[dict[str, str]] = {
    "dmax": "real entries only, one sequence per entry",
    "dmax (equal compute)": "as dmax, but for the time of the three stages, annotation included",
    "real again": "all stages on real entries; shows the cost of restarting the training",
    "+ pseudo": "stages 1 and 2; every readable answer is kept",
    "+ confidence": "stages 1 and 2; thresholds from the validation split filter the answers",
    "+ consistency": "stages 1 and 2; rules between tasks filter the answers",
    "+ both filters": "stages 1 and 2; confidence and consistency filter the answers",
    "+ balance": "as + both filters, but no answer exceeds its share among the real entries",
    "three stages": "stages 1, 2 (with the filters in `filter:`) and 3",
    "three stages, chosen": "as three stages; the best stage on the validation split is the result",
    "two rounds": "as three stages, but with two rounds of half the steps, each annotated anew",
    "+ right ones": "stages 1 and 2; exactly the correct answers are kept (ceiling of filters)",
    "true answers": "all real annotations of the same images, packed (ceiling of pseudo IMAX)",
    "imax": "as many real annotations as dmax, but on fewer, densely annotated images, packed",
}
"""Arm → its description in the tables."""
ARMS: Final[tuple[ArmName, ...]] = tuple(MEANS)  # type: ignore[arg-type]


class AblationBlock(BaseModel):
    """Options of an ablation: its arms, its seeds and the number of processes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    arms: tuple[ArmName, ...] = Field(default=ARMS, description="Arms to train.")
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2), min_length=1, description="Seeds of each arm."
    )
    lanes: int = Field(
        default=2, ge=1, description="Number of processes; it never changes the result of an arm."
    )


class PretrainingConfig(BaseModel):
    """Options of the pretraining that stands for the pretraining of a medical MLLM."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tasks: tuple[TaskName, ...] = Field(
        default=("report",), min_length=1, description="Tasks that the model has been trained on."
    )
    steps: int = Field(
        ge=1, description="Number of optimizer steps of training.entries_per_step entries, packed."
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
        if strategy.rounds != 1 or len(strategy.opening) != 1 or len(strategy.loop) < 2:
            raise ValueError(
                "an ablation needs one round and its stages in this order: one on dmax, then on "
                "pseudo or mix, then one on dmax"
            )
        if strategy.loop[-1].on != "dmax" or any(s.on == "dmax" for s in strategy.loop[:-1]):
            raise ValueError("the first and the last stage, and no other, must be on dmax")
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

    def needed(self) -> tuple[str, ...]:
        """Return the arms to train: the configured ones, and the one that equal compute needs."""
        named = set(self.ablation.arms)
        if EQUAL_COMPUTE in named:
            named.add(WHOLE)
        return tuple(arm for arm in ARMS if arm in named)

    def arm(
        self, name: str, out: Path, init: Path, seed: int, *, steps: int | None = None
    ) -> StrategyConfig:
        """Return the strategy of an arm.

        Args:
            name: Name of the arm.
            out: Study folder.
            init: Folder of the model that the arms start from.
            seed: Seed of weights, schedules and sampling.
            steps: Number of optimizer steps of ``dmax (equal compute)``; other arms ignore it.
        """
        base = self.strategy
        training = {**self.training.model_dump(mode="json"), **base.training}
        common: dict[str, Any] = {
            "data": out / _DATA.get(name, "dmax"),
            "truth": out / "catalog",
            "model": str(init),
            "seed": seed,
            "training": {**training, "epochs": None},
            "max_new_tokens": self.evaluation.max_new_tokens,
        }
        first, *middle = base.stages[:-1]
        last = base.stages[-1]
        if name in (REFERENCE, EQUAL_COMPUTE):
            common["stages"] = (_with(first, steps or self.steps),)
        elif name in _DATA:
            packed = first.model_copy(update={"name": _DATA[name], "layout": "packed"})
            common["stages"] = (_with(packed, self.steps),)
        elif name in _FILTERS:
            longer = _with(middle[-1], (middle[-1].steps or 0) + (last.steps or 0))
            common["stages"] = (first, *middle[:-1], longer)
            confidence, consistency, balance = _FILTERS[name]
            common["filter"] = base.filter.model_copy(
                update={
                    "confidence": confidence,
                    "consistency": consistency,
                    "balance": balance,
                    "perfect": name == "+ right ones",
                }
            )
        elif name == CHOSEN:
            common["choose"] = "validation"
        elif name == AGAIN:
            common["stages"] = tuple(map(_on_real, base.stages))
        elif name == "two rounds":
            common["rounds"] = 2
            common["stages"] = (first, *_halved([*middle, last]))
        return StrategyConfig.model_validate({**_fields(base), **common})


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


def _with(stage: StageConfig, steps: int) -> StageConfig:
    return stage.model_copy(update={"steps": steps})


def _on_real(stage: StageConfig) -> StageConfig:
    return stage.model_copy(
        update={"on": "dmax", "layout": "separate", "real_share": None, "pseudo_weight": 1.0}
    )


def _halved(stages: Sequence[StageConfig]) -> list[StageConfig]:
    """Halve the steps of the stages for each of two rounds; an odd step is dropped."""
    return [_with(stage, max(1, (stage.steps or 0) // 2)) for stage in stages]


def _fields(config: StrategyConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in StrategyConfig.model_fields}
