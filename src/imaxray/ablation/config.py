"""The ablation of a strategy as YAML: a study whose arms are the strategy with parts left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray._config import read_yaml, validated
from imaxray.ablation.dense_data import DENSE
from imaxray.configs.builtin import find_config, instead_of
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
"""Confidence, consistency, balance."""

_DATA: Final = {"imax": "imax", "true answers": DENSE}
"""Folders of arms that are trained on other data than dmax."""

MEANS: Final[dict[str, str]] = {
    "dmax": "real entries only, one sequence an entry",
    "dmax (equal compute)": "the same for as long as the three stages took, annotation included",
    "real again": "all stages on real entries: what starting again costs by itself",
    "+ pseudo": "stages 1 and 2, every readable answer kept",
    "+ confidence": "stages 1 and 2, thresholds from the validation split",
    "+ consistency": "stages 1 and 2, rules between tasks",
    "+ both filters": "stages 1 and 2, both",
    "+ balance": "stages 1 and 2, both, and no answer outweighs its share among real entries",
    "three stages": "stages 1, 2 (all that `filter:` asks for) and 3",
    "three stages, chosen": "as three stages, but the stage that the validation split likes best",
    "two rounds": "as three stages, but annotated again half-way",
    "+ right ones": "stages 1 and 2, exactly the answers that are right: the ceiling of filters",
    "true answers": "the ceiling of pseudo IMAX: all real annotations of the same images, packed",
    "imax": "as many real annotations as dmax, but on fewer, dense images, packed",
}
ARMS: Final[tuple[ArmName, ...]] = tuple(MEANS)  # type: ignore[arg-type]


class AblationBlock(BaseModel):
    """Arms, seeds, and how many processes share the work."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arms: tuple[ArmName, ...] = Field(ARMS, description="Arms to train.")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="Seeds of each arm.")
    lanes: int = Field(
        2, ge=1, description="Number of processes; it never changes the result of an arm."
    )


class PretrainingConfig(BaseModel):
    """What stands for the pretraining that a medical MLLM brings along."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[TaskName, ...] = Field(
        ("report",), min_length=1, description="Tasks that the model has been trained on."
    )
    steps: int = Field(
        ge=1, description="Number of optimizer steps of training.entries_per_step entries, packed."
    )


class AblationConfig(StudyConfig):
    """A study with ``strategy:`` (docs/strategy.md, without data and model) and ``ablation:``.

    ``training:`` holds for all stages of all arms; the stages' ``steps`` add up to the steps of
    every arm but ``dmax (equal compute)``.
    """

    pretraining: PretrainingConfig | None = Field(
        None, description="Pretraining of the model that all arms start from; default: none."
    )
    strategy: StrategyConfig = Field(description="The strategy whose parts are left out.")
    ablation: AblationBlock = Field(AblationBlock(), description="Arms, seeds and processes.")

    @model_validator(mode="after")
    def _staged(self) -> AblationConfig:
        strategy = self.strategy
        if any(stage.steps is None for stage in strategy.stages):
            raise ValueError("an ablation needs the steps of every stage; epochs do not add up")
        if strategy.rounds != 1 or len(strategy.opening) != 1 or len(strategy.loop) < 2:
            raise ValueError(
                "an ablation takes one round: one stage on dmax, then pseudo or mix, then dmax"
            )
        if strategy.loop[-1].on != "dmax" or any(s.on == "dmax" for s in strategy.loop[:-1]):
            raise ValueError("the last stage, and of the others the first, must be on dmax")
        given = [n for n in ("data", "model", "phantom") if getattr(strategy, n) is not None]
        if given:
            raise ValueError(f"leave {', '.join(given)} out of strategy; the study has its own")
        if REFERENCE not in self.ablation.arms:
            raise ValueError(f"the arm {REFERENCE} is what the others are compared with; name it")
        return self

    @property
    def steps(self) -> int:
        """Of every arm."""
        return sum(stage.steps or 0 for stage in self.strategy.stages)

    def needed(self) -> tuple[str, ...]:
        """Arms to train: those that were named, and what equal compute is measured on."""
        named = set(self.ablation.arms)
        if EQUAL_COMPUTE in named:
            named.add(WHOLE)
        return tuple(arm for arm in ARMS if arm in named)

    def arm(
        self, name: str, out: Path, init: Path, seed: int, *, steps: int | None = None
    ) -> StrategyConfig:
        """The strategy that an arm is.

        Args:
            name: of the arm.
            out: study folder.
            init: the model that arms start from.
            seed: of weights, schedules and sampling.
            steps: of ``dmax (equal compute)``.
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
    """Read a study's YAML: an ablation where it has a block ``strategy``.

    Args:
        path: a YAML file, or the name of a built-in configuration (``phantom``, ``ablation``).

    Raises:
        ImaxrayError: as :func:`imaxray.study.load_config`.
    """
    path = find_config(path)
    content = read_yaml(path, what="a study configuration", advice=instead_of(path))
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
    """Half the steps, for each of two rounds (an odd step is lost)."""
    return [_with(stage, max(1, (stage.steps or 0) // 2)) for stage in stages]


def _fields(config: StrategyConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in StrategyConfig.model_fields}
