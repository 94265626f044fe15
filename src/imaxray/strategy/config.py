"""Reads a strategy from YAML: its stages, their training data, and how pseudo IMAX is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray._common.config import read_yaml, validated
from imaxray._common.defaults import (
    MAX_NEW_TOKENS,
    MOST_RATE,
    MOST_RESAMPLES,
    MOST_STEPS,
    RESAMPLES,
)
from imaxray._common.numbers import mistaken_number
from imaxray.configs.builtin import find_config, instead_of, require_kind
from imaxray.derive import DeriveConfig
from imaxray.errors import ImaxrayError
from imaxray.models import PhantomConfig
from imaxray.pseudo import AskConfig, FilterConfig
from imaxray.pseudo.annotating import AnnotationEngine
from imaxray.schema import TaskName
from imaxray.training import Layout, Recipe

On = Literal["dmax", "derived", "pseudo", "mix"]
"""Data that a stage trains on. ``dmax``: the real entries. ``derived``: entries drawn from the real
ones and those that follow from them by rules, so that each task keeps its share among the real
entries. ``pseudo``: all of pseudo IMAX, that is, every image with its real, derived and pseudo
entries. ``mix``: entries drawn from pseudo IMAX so that each task keeps its share among the real
entries; ``real_share`` sets the share of entries that no model answered within a task."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class StageConfig(BaseModel):
    """Options of one stage: a training run that starts from the weights of an earlier stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Name = Field(description="Name of the stage, unique in the strategy.")
    on: On = Field(description="Data that the stage trains on: dmax, derived, pseudo or mix.")
    start: str = Field(
        default="previous",
        description="Weights to start from: previous, base, or the name of an earlier stage.",
    )
    tasks: tuple[TaskName, ...] | None = Field(
        default=None,
        min_length=1,
        description="Tasks whose entries the stage trains on, which makes its model a specialist "
        "that only annotates; default: all.",
    )
    layout: Layout | None = Field(
        default=None,
        description="How entries become sequences; default: packed.",
    )
    steps: int | None = Field(
        default=None, ge=1, le=MOST_STEPS, description="Number of optimizer steps."
    )
    epochs: float | None = Field(
        default=None, gt=0, le=100_000, description="Number of passes over the entries."
    )
    learning_rate: float | None = Field(
        default=None, gt=0, le=MOST_RATE, description="Highest learning rate."
    )
    muon_learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=MOST_RATE,
        description="Highest learning rate of weight matrices, with muon.",
    )
    warmup: float | None = Field(
        default=None, ge=0, lt=1, description="Share of the steps in which the rate rises."
    )
    final_rate: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Learning rate at the end of the stage, as share of the highest one.",
    )
    real_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="On mix: share of entries that no model answered among the drawn entries of "
        "a task that has both.",
    )
    pseudo_weight: float = Field(
        default=1.0, gt=0, le=1000, description="Weight of a pseudo entry's loss."
    )
    target: Literal["hard", "soft"] | None = Field(
        default=None,
        description="What a pseudo entry is trained towards: the tokens of its answer (hard) or "
        "the annotator's distribution over tokens (soft), which annotate.top_k stores; default: "
        "hard.",
    )
    soft_temperature: float | None = Field(
        default=None, gt=0, le=100, description="Temperature of the distributions of target soft."
    )
    average: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of a moving average of the stage's weights, which annotates, and which "
        "the next stage starts from, instead of its last weights.",
    )

    @model_validator(mode="before")
    @classmethod
    def _on(cls, given: Any) -> Any:
        """Restore the key ``on``, which YAML 1.1 reads as true."""
        if isinstance(given, Mapping) and True in given:
            return {"on" if key is True else key: value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _settled(self) -> StageConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"stage {self.name} sets both steps and epochs; give one of them")
        if (self.on == "mix") != (self.real_share is not None):
            raise ValueError(
                f"stage {self.name} must set real_share if it is `on: mix`, and only then"
            )
        if not self.on_pseudo and self.pseudo_weight != 1:
            raise ValueError(
                f"stage {self.name} is on {self.on}, which has no pseudo entries to weigh; leave "
                "pseudo_weight out"
            )
        if not self.on_pseudo and self.target == "soft":
            raise ValueError(
                f"stage {self.name} is on {self.on}, which has no distributions of an annotator; "
                "leave target out"
            )
        return self

    @property
    def specialist(self) -> bool:
        """Whether the stage trains a specialist, which later stages do not go on from."""
        return self.tasks is not None

    @property
    def on_pseudo(self) -> bool:
        """Whether the stage trains on answers of a model."""
        return self.on in ("pseudo", "mix")

    def changes(self) -> dict[str, Any]:
        """Return the recipe keys in which the stage differs from the strategy's ``training``."""
        given: dict[str, Any] = {
            "layout": self.layout or "packed",
            "pseudo_weight": self.pseudo_weight,
            "real_share": self.real_share,
            "task_shares": "real" if self.on == "derived" else "all",
        }
        if self.steps is not None:
            given |= {"steps": self.steps, "epochs": None}
        if self.epochs is not None:
            given |= {"epochs": self.epochs}
        for key in ("learning_rate", "muon_learning_rate", "warmup", "final_rate", "tasks",
                    "target", "soft_temperature", "average"):  # fmt: skip
            if getattr(self, key) is not None:
                given[key] = getattr(self, key)
        return given


STAGES = (
    StageConfig(name="dmax", on="dmax", start="base"),
    StageConfig(name="pseudo-imax", on="mix", real_share=0.5),
    StageConfig(name="finish", on="dmax"),
)
"""Default stages: the paper's order, with the data mix that lowered scores least in the pilot runs
(docs/results/strategy-pilots.md). The configuration sets their lengths and learning rates."""


class AnnotateSettings(AskConfig):
    """Options that say how missing tasks are annotated (docs/pseudo.md).

    The strategy sets ``seed`` and ``round`` itself.
    """

    engine: AnnotationEngine = Field(default="local", description="Engine that writes the answers.")
    teachers: dict[TaskName, str] = Field(
        default_factory=dict,
        description="Other model for each of some tasks: the name of a stage, or any model that "
        "`imaxray annotate` accepts.",
    )

    @model_validator(mode="after")
    def _ours(self) -> AnnotateSettings:
        if self.model_fields_set & {"seed", "round"}:
            raise ValueError("the strategy sets seed and round; leave them out of annotate")
        return self


class StrategyConfig(BaseModel):
    """Holds every option that the result of a strategy depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: str = Field(default="Pseudo IMAX", description="Title of the report.")
    data: Path | None = Field(
        default=None, description="Dataset folder with the real entries (DMAX)."
    )
    truth: Path | None = Field(
        default=None,
        description="Dataset folder of a catalog that knows the answers; it is only reported on.",
    )
    model: str | None = Field(
        default=None,
        description="Model to train: a name that `imaxray models` lists, a repository id, or a "
        "folder.",
    )
    phantom: PhantomConfig | None = Field(
        default=None, description="Shape of a tiny model that is trained from scratch instead."
    )
    seed: int = Field(
        default=0, ge=0, description="Random seed of weights, schedules and sampling."
    )
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of a recipe that hold for all stages (docs/training.md).",
    )
    stages: tuple[StageConfig, ...] = Field(default=STAGES, description="The stages, in order.")
    rounds: int = Field(
        default=1, ge=1, description="Number of times that pseudo IMAX is made and trained on."
    )
    derive: DeriveConfig | None = Field(
        default=None,
        description="Rules by which entries follow from the real ones (docs/derive.md); default: "
        "nothing is derived.",
    )
    annotate_with: str = Field(
        default="last", description="Stage whose model annotates: last, or a name."
    )
    annotate: AnnotateSettings = Field(
        default=AnnotateSettings(), description="How the missing tasks are annotated."
    )
    filter: FilterConfig = Field(default=FilterConfig(), description="Which answers are kept.")
    choose: Literal["last", "validation"] = Field(
        default="last",
        description="Stage whose model is the result: the last one, or the best one on validation.",
    )
    max_new_tokens: int = Field(
        default=MAX_NEW_TOKENS,
        ge=1,
        description="Maximum number of tokens per answer to a test question.",
    )
    device: str = Field(
        default="cpu", description="Device that annotates and answers; training finds its own."
    )
    resamples: int = Field(
        default=RESAMPLES,
        ge=100,
        le=MOST_RESAMPLES,
        description="Number of bootstrap samples of patients.",
    )

    @model_validator(mode="after")
    def _settled(self) -> StrategyConfig:
        names = [stage.name for stage in self.stages]
        if not names:
            raise ValueError("stages must not be empty")
        known = {"previous", "base"}
        if len(set(names)) < len(names) or known & set(names):
            raise ValueError("stages need different names, other than previous and base")
        for stage in self.stages:
            if stage.start not in known:
                raise ValueError(
                    f"stage {stage.name} starts from {stage.start}; name one of "
                    f"{', '.join(sorted(known))}"
                )
            known.add(stage.name)
        if all(stage.specialist for stage in self.stages):
            raise ValueError("at least one stage must train on all tasks; leave its tasks out")
        self._require_teachers()
        if self.annotate_with not in {"last", *names}:
            raise ValueError(
                f"annotate_with names {self.annotate_with}, which is no stage; name one of last, "
                f"{', '.join(names)}"
            )
        if self.filter.perfect and self.truth is None:
            raise ValueError("filter.perfect needs truth; name a dataset folder with the answers")
        if self.derive is None and any(stage.on == "derived" for stage in self.stages):
            raise ValueError("a stage is on derived, but nothing is derived; add `derive: {}`")
        if self.rounds > 1 and not self.loop:
            raise ValueError("more than one round needs a stage on pseudo or mix; add one")
        for stage in self.stages:
            self._require_distributions(stage)
        return self

    def _require_distributions(self, stage: StageConfig) -> None:
        """Check that a stage with soft targets has distributions to train towards."""
        if self.recipe(stage, "-", 0).target != "soft":
            return
        if not stage.on_pseudo:
            raise ValueError(
                f"training sets `target: soft`, but stage {stage.name} is on {stage.on}, which has "
                "no distributions of an annotator; set target in the stages on pseudo or mix"
            )
        if self.annotate.top_k == 0:
            raise ValueError(
                f"stage {stage.name} has `target: soft`, but the annotation stores no "
                "distributions; set annotate.top_k, e.g. to 20"
            )
        if self.annotate.engine == "vllm":
            raise ValueError(
                f"stage {stage.name} has `target: soft`, but the engine vllm stores no "
                "distributions; choose the engine local or ray"
            )

    def _require_teachers(self) -> None:
        """Check that each teacher that is a stage is trained on its task before it annotates."""
        stages = {stage.name: stage for stage in self.stages}
        for task, name in self.annotate.teachers.items():
            if task not in self.annotate.tasks:
                raise ValueError(
                    f"annotate.teachers names a teacher of {task}, which annotate.tasks leaves out"
                )
            stage = stages.get(name)
            if stage is None:
                continue
            if stage not in self.opening:
                raise ValueError(
                    f"the teacher of {task} is the stage {name}, which is trained after the "
                    "annotation; move it before the first stage on pseudo or mix"
                )
            if stage.tasks is not None and task not in stage.tasks:
                raise ValueError(
                    f"the teacher of {task} is the stage {name}, which is only trained on "
                    f"{', '.join(stage.tasks)}; add the task to the stage"
                )

    @property
    def opening(self) -> tuple[StageConfig, ...]:
        """The stages before the first one on pseudo IMAX; they run once."""
        return self.stages[: len(self.stages) - len(self.loop)]

    @property
    def loop(self) -> tuple[StageConfig, ...]:
        """The stages of each round: from the first one on pseudo IMAX to the last one."""
        first = next((n for n, s in enumerate(self.stages) if s.on_pseudo), len(self.stages))
        return self.stages[first:]

    def recipe(self, stage: StageConfig, model: str, seed: int) -> Recipe:
        """Return the recipe of one stage.

        Args:
            stage: Stage of this strategy.
            model: Model that the stage starts from.
            seed: Random seed of the stage.
        """
        merged = {**self.training, **stage.changes(), "model": model, "seed": seed}
        if "steps" in self.training and "epochs" not in merged:
            merged["epochs"] = None
        recipe = Recipe.model_validate(merged)
        if (taken := mistaken_number(merged, recipe)) is not None:
            name = ".".join(map(str, taken[0]))
            raise ValueError(f"training has {taken[1]} as {name}: {taken[2]}")
        return recipe


def load_strategy(path: str | Path, *, data: Path | None = None) -> StrategyConfig:
    """Read a strategy's YAML.

    The paths ``data``, ``truth``, ``filter.rules`` and those of ``annotate.teachers`` may be
    relative to the YAML file.

    Args:
        path: YAML file, or name of a built-in configuration (``strategy``).
        data: Dataset folder, which overrides that of the file.

    Raises:
        ImaxrayError: If the file is missing or is not YAML, if it has an unknown key or a bad
            value, or if it does not name the data or the model.
    """
    path = find_config(path)
    content = read_yaml(path, what="a strategy", advice=instead_of(path))
    require_kind(content, path, "strategy")
    config = validated(StrategyConfig, content, where=str(path), see="docs/strategy.md")
    if data is not None:
        config = config.model_copy(update={"data": data.resolve()})
    if config.data is None or (config.model is None) == (config.phantom is None):
        raise ImaxrayError(
            f"Expected the data folder (data: or --data) and one of model: or phantom: in {path}, "
            "but they are not given; `imaxray configs show strategy` shows an example."
        )

    def near(given: Path | None) -> Path | None:
        if given is None or given.is_absolute() or not (path.parent / given).exists():
            return given
        return path.parent / given

    rules = config.filter.model_copy(update={"rules": near(config.filter.rules)})
    stages = {stage.name for stage in config.stages}
    teachers = {
        task: name if name in stages else str(near(Path(name)))
        for task, name in config.annotate.teachers.items()
    }
    annotate = config.annotate.model_copy(update={"teachers": teachers})
    return config.model_copy(
        update={"data": near(config.data), "truth": near(config.truth), "filter": rules,
                "annotate": annotate}
    )  # fmt: skip
