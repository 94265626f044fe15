"""A strategy as YAML: the stages in order, what each trains on, and how pseudo IMAX is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray._config import read_yaml, validated
from imaxray.configs.builtin import find_config, instead_of
from imaxray.errors import ImaxrayError
from imaxray.models import PhantomConfig
from imaxray.pseudo import AskConfig, FilterConfig
from imaxray.pseudo.annotating import AnnotationEngine
from imaxray.training import Layout, Recipe

On = Literal["dmax", "pseudo", "mix"]
"""dmax: the real entries. pseudo: pseudo IMAX as it is, every image with its real entries and those
that the model gave it. mix: the same folder, but tasks keep the shares that they have among the
real entries, and within a task the stage names the share of real ones."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class StageConfig(BaseModel):
    """One stage: a training run that starts from an earlier one's weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Name of the stage, unique in the strategy.")
    on: On = Field(description="Data that the stage trains on: dmax, pseudo or mix.")
    start: str = Field(
        "previous",
        description="Weights to start from: previous, base, or the name of an earlier stage.",
    )
    layout: Layout | None = Field(
        None,
        description="How entries become sequences; default: separate on dmax, packed elsewhere.",
    )
    steps: int | None = Field(None, ge=1, description="Number of optimizer steps.")
    epochs: float | None = Field(None, gt=0, description="Number of passes over the entries.")
    learning_rate: float | None = Field(None, gt=0, description="Highest learning rate.")
    muon_learning_rate: float | None = Field(
        None, gt=0, description="Highest learning rate of weight matrices, with muon."
    )
    warmup: float | None = Field(
        None, ge=0, lt=1, description="Share of the steps in which the rate rises."
    )
    real_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="On mix: share of real entries among the drawn entries of a task that has "
        "both.",
    )
    pseudo_weight: float = Field(1.0, gt=0, description="Weight of a pseudo entry's loss.")

    @model_validator(mode="before")
    @classmethod
    def _on(cls, given: Any) -> Any:
        """YAML 1.1 reads a bare ``on`` as true."""
        if isinstance(given, Mapping) and True in given:
            return {"on" if key is True else key: value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _settled(self) -> StageConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"stage {self.name} has steps and epochs; give one of them")
        if (self.on == "mix") != (self.real_share is not None):
            raise ValueError(
                f"stage {self.name}: real_share goes with `on: mix`, and `on: mix` needs it"
            )
        if self.on == "dmax" and self.pseudo_weight != 1:
            raise ValueError(f"stage {self.name} is on dmax, which has no pseudo entry to weigh")
        return self

    def changes(self) -> dict[str, Any]:
        """What the stage says otherwise than the strategy's ``training``."""
        given: dict[str, Any] = {
            "layout": self.layout or ("separate" if self.on == "dmax" else "packed"),
            "pseudo_weight": self.pseudo_weight,
            "real_share": self.real_share,
        }
        if self.steps is not None:
            given |= {"steps": self.steps, "epochs": None}
        if self.epochs is not None:
            given |= {"epochs": self.epochs}
        for key in ("learning_rate", "muon_learning_rate", "warmup"):
            if getattr(self, key) is not None:
                given[key] = getattr(self, key)
        return given


STAGES = (
    StageConfig(name="dmax", on="dmax", start="base"),
    StageConfig(name="pseudo-imax", on="mix", real_share=0.5),
    StageConfig(name="finish", on="dmax"),
)
"""The paper's order, and the mix that harmed least in the pilot (docs/strategy.md). Lengths and
rates are the configuration's."""


class AnnotateSettings(AskConfig):
    """How the gaps are filled (docs/pseudo.md); the strategy sets seed and round."""

    engine: AnnotationEngine = Field("local", description="Engine that writes the answers.")

    @model_validator(mode="after")
    def _ours(self) -> AnnotateSettings:
        if self.model_fields_set & {"seed", "round"}:
            raise ValueError("seed and round are the strategy's; leave them out of annotate")
        return self


class StrategyConfig(BaseModel):
    """Everything that decides the result of a strategy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field("Pseudo IMAX", description="Title of the report.")
    data: Path | None = Field(None, description="Dataset folder with the real entries (DMAX).")
    truth: Path | None = Field(
        None,
        description="Dataset folder of a catalog that knows the answers; it is only reported on.",
    )
    model: str | None = Field(
        None,
        description="Model to train: a name that `imaxray models` lists, a repository id, or a "
        "folder.",
    )
    phantom: PhantomConfig | None = Field(
        None, description="Shape of a tiny model that is trained from scratch instead."
    )
    seed: int = Field(0, description="Random seed of weights, schedules and sampling.")
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of a recipe that hold for all stages (docs/training.md).",
    )
    stages: tuple[StageConfig, ...] = Field(STAGES, description="The stages, in order.")
    rounds: int = Field(
        1, ge=1, description="Number of times that pseudo IMAX is made and trained on."
    )
    annotate_with: str = Field("last", description="Stage whose model annotates: last, or a name.")
    annotate: AnnotateSettings = Field(
        AnnotateSettings(), description="How the missing tasks are annotated."
    )
    filter: FilterConfig = Field(FilterConfig(), description="Which answers are kept.")
    choose: Literal["last", "validation"] = Field(
        "last",
        description="Stage whose model is the result: the last one, or the best one on validation.",
    )
    max_new_tokens: int = Field(
        128, ge=1, description="Maximum number of tokens per answer to a test question."
    )
    device: str = Field(
        "cpu", description="Device that annotates and answers; training finds its own."
    )
    resamples: int = Field(2000, ge=100, description="Number of bootstrap samples of patients.")

    @model_validator(mode="after")
    def _settled(self) -> StrategyConfig:
        names = [stage.name for stage in self.stages]
        if not names:
            raise ValueError("stages must not be empty")
        known = {"previous", "base"}
        if len(set(names)) < len(names) or known & set(names):
            raise ValueError("stages need names of their own, other than previous and base")
        for stage in self.stages:
            if stage.start not in known:
                raise ValueError(
                    f"stage {stage.name} starts from {stage.start}, which is none of "
                    f"{', '.join(sorted(known))}"
                )
            known.add(stage.name)
        if self.annotate_with not in {"last", *names}:
            raise ValueError(f"annotate_with names {self.annotate_with}, which is no stage")
        if self.filter.perfect and self.truth is None:
            raise ValueError("filter.perfect needs truth: a dataset folder that knows the answers")
        if self.rounds > 1 and not self.loop:
            raise ValueError("rounds need a stage on pseudo or mix")
        for stage in self.stages:
            self.recipe(stage, "-", 0)
        return self

    @property
    def opening(self) -> tuple[StageConfig, ...]:
        """The stages before there is any pseudo IMAX."""
        return self.stages[: len(self.stages) - len(self.loop)]

    @property
    def loop(self) -> tuple[StageConfig, ...]:
        """The stages of a round: from the first one on pseudo IMAX to the last."""
        first = next((n for n, s in enumerate(self.stages) if s.on != "dmax"), len(self.stages))
        return self.stages[first:]

    def recipe(self, stage: StageConfig, model: str, seed: int) -> Recipe:
        """The recipe of one stage."""
        merged = {**self.training, **stage.changes(), "model": model, "seed": seed}
        if "steps" in self.training and "epochs" not in merged:
            merged["epochs"] = None
        return Recipe.model_validate(merged)


def load_strategy(path: str | Path) -> StrategyConfig:
    """Read a strategy's YAML; ``data``, ``truth`` and ``filter.rules`` may be relative to it.

    Args:
        path: a YAML file, or the name of a built-in configuration (``strategy``).

    Raises:
        ImaxrayError: the file is missing, no YAML, or has an unknown key or a bad value; no data
            or no model is named.
    """
    path = find_config(path)
    content = read_yaml(path, what="a strategy", advice=instead_of(path))
    config = validated(StrategyConfig, content, where=str(path), see="docs/strategy.md")
    if config.data is None or (config.model is None) == (config.phantom is None):
        raise ImaxrayError(
            f"Expected in {path} the folder of the data (data:) and one of model: or phantom:, but "
            "they are not there; `imaxray configs show strategy` has an example."
        )

    def near(given: Path | None) -> Path | None:
        if given is None or given.is_absolute() or not (path.parent / given).exists():
            return given
        return path.parent / given

    rules = config.filter.model_copy(update={"rules": near(config.filter.rules)})
    return config.model_copy(
        update={"data": near(config.data), "truth": near(config.truth), "filter": rules}
    )
