"""Estimates every training of a study: entries, tokens, steps, parameters, bytes and hours."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, MiniConfig, outline_model
from imaxray.models.outline import LETTERS
from imaxray.packing import require_packable, require_packed_mask
from imaxray.study.arms import pilot
from imaxray.study.budget import budget_steps, read_run
from imaxray.study.config import StudyConfig
from imaxray.study.estimating.config import EstimateConfig
from imaxray.study.estimating.memory import FORMULA, Memory, memory_of
from imaxray.study.estimating.tokens import TokenCounts, count_tokens, tokens_of_means
from imaxray.study.places import arm_dataset, base_folder, run_folders
from imaxray.study.units import Unit, study_units
from imaxray.study.work import require_data
from imaxray.training import Recipe, untrained_base
from imaxray.training.method import make_trainable

_HOUR: Final = 3600


@dataclass(frozen=True)
class UnitEstimate:
    """Holds the estimate of one training; what is not known is ``None``.

    Attributes:
        unit: Name of the unit.
        model: Name of the model.
        arm: Name of the arm.
        seed: Seed.
        layout: How entries become sequences.
        entries: Train entries of the dataset.
        steps: Optimizer steps.
        steps_by: What decided the number of steps: the configuration (``config``), finished runs
            (``runs``), or token counts, where equal compute is measured only later (``tokens``).
        tokens: Counts of tokens over the whole training.
        parameters: Parameters of the model.
        trained: Parameters that are trained.
        memory: Bytes of one process.
        tokens_per_second: Measured speed.
        speed_by: Where the speed is from: the user (``given``) or finished runs (``runs``).
        problem: What is missing, or what would stop the unit.
    """

    unit: str
    model: str
    arm: str
    seed: int
    layout: str
    entries: int | None = None
    steps: int | None = None
    steps_by: str | None = None
    tokens: TokenCounts | None = None
    parameters: int | None = None
    trained: int | None = None
    memory: Memory | None = None
    tokens_per_second: float | None = None
    speed_by: str | None = None
    problem: str | None = None

    @property
    def hours(self) -> float | None:
        """Hours of the training, where a speed was measured."""
        if self.tokens is None or self.tokens_per_second is None:
            return None
        return self.tokens.tokens / self.tokens_per_second / _HOUR

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values."""
        found = asdict(self)
        if self.tokens is not None:
            found["tokens"].pop("largest")
            found["tokens"]["text_tokens"] = self.tokens.tokens - self.tokens.image_tokens
            found["tokens"]["exact"] = self.tokens.is_exact
        if self.memory is not None:
            found["memory"]["total"] = self.memory.total
        return {**found, "hours": self.hours}


@dataclass(frozen=True)
class StudyEstimate:
    """Holds the estimates of all trainings of a study, and what they rest on."""

    title: str
    units: tuple[UnitEstimate, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the estimates as plain values, with their sums."""
        known = [one for one in self.units if one.tokens is not None]
        hours = [one.hours for one in self.units]
        return {
            "title": self.title,
            "units": [one.as_dict() for one in self.units],
            "tokens": sum(one.tokens.tokens for one in known if one.tokens) if known else None,
            "hours": None if None in hours else sum(h for h in hours if h is not None),
            "notes": list(self.notes),
        }


def estimate_study(
    config: StudyConfig, out: Path | None = None, how: EstimateConfig | None = None
) -> StudyEstimate:
    """Estimate every training of a study, without weights, network or training.

    Where the datasets of the study are built, tokens are counted by the code that trains: the same
    schedule, tokenizer and packing. Otherwise they follow from the numbers in ``how`` and in the
    configuration. Parameters are those of the model's configuration, prepared as for training.
    Hours are given only where a speed was measured: by the user, or by finished runs of the study.

    Args:
        config: Configuration of the study.
        out: Study folder, which may have datasets and finished runs; ``None``: nothing is built.
        how: Options of the estimate.

    Raises:
        ImaxrayError: If the folder has datasets of another configuration, or a name in ``how`` is
            no dataset or no model of the study.
    """
    how = how or EstimateConfig()
    _require_known(config, how)
    if out is not None and (out / "imax" / "manifest.json").is_file():
        require_data(config, out)
    done: dict[str, UnitEstimate] = {}
    with tempfile.TemporaryDirectory() as scratch:
        work = _Work(config, out, how, Path(scratch))
        for unit in study_units(config):  # arms of equal compute follow those that decide them
            if unit.kind == "train":
                done[unit.name] = work.unit(unit, done)
    return StudyEstimate(config.title, tuple(done.values()), tuple(work.notes()))


def _require_known(config: StudyConfig, how: EstimateConfig) -> None:
    data = {arm.data for arm in config.arms.values()}
    for option, names, known in (
        ("--entries", how.entries, data),
        ("--entries-per-image", how.entries_per_image, data),
        ("--tokens-per-second", how.tokens_per_second, set(config.all_models)),
    ):
        unknown = sorted(set(names) - known - {"all"})
        if unknown:
            raise ImaxrayError(
                f"Expected {option} for {' or '.join(sorted(known))}, but got {unknown[0]}; name "
                "one of these, or give one number for all."
            )


class _Work:
    """Estimates units one by one, and keeps the outline of the last model."""

    def __init__(
        self, config: StudyConfig, out: Path | None, how: EstimateConfig, scratch: Path
    ) -> None:
        self._config, self._out, self._how, self._scratch = config, out, how, scratch
        self._sources: set[str] = set()
        self._ways: set[str] = set()

    def unit(self, unit: Unit, done: Mapping[str, UnitEstimate]) -> UnitEstimate:
        """Return the estimate of a training; what cannot be known is left out and named."""
        assert unit.model is not None and unit.arm is not None and unit.seed is not None
        arm = self._config.arms[unit.arm]
        found: dict[str, Any] = {
            "unit": unit.name, "model": unit.model, "arm": unit.arm, "seed": unit.seed,
            "layout": arm.layout,
        }  # fmt: skip
        try:
            self._fill(found, unit, done)
        except ImaxrayError as error:
            found["problem"] = str(error)
        return UnitEstimate(**found)

    def _fill(self, found: dict[str, Any], unit: Unit, done: Mapping[str, UnitEstimate]) -> None:
        assert unit.model is not None and unit.arm is not None and unit.seed is not None
        config, how = self._config, self._how
        arm, block = config.arms[unit.arm], config.all_models[unit.model]
        data, reference = self._data(unit.arm), self._data(config.reference)
        found["entries"] = self._entries(unit.arm, data)
        found |= self._speed(unit)
        recipe = block.recipe_of(
            block.weights(unit.model), config.training, layout=arm.layout, seed=unit.seed
        )
        first = self._entries(config.reference, reference)
        if recipe.epochs is None or first is not None:
            found["steps"] = recipe.training().steps_for(first or 1)
            found["steps_by"] = "config"
        if recipe.layout == "packed" and recipe.attention is not None:
            require_packed_mask(recipe.attention)
        chat = self._outline(unit, recipe, data)
        if recipe.layout == "packed":
            require_packable(chat.model)
        make_trainable(chat, recipe, unit.seed)
        parameters = list(chat.model.parameters())
        found["parameters"] = sum(p.numel() for p in parameters)
        found["trained"] = sum(p.numel() for p in parameters if p.requires_grad)
        found["memory"] = memory_of(chat, recipe, None, processes=how.processes)
        if "steps" not in found:
            raise ImaxrayError(
                f"Expected the number of train entries of {config.arms[config.reference].data}, "
                "from which the steps follow, but the data are not built; give --entries, or run "
                "the unit data."
            )
        if arm.budget == "compute":
            found["steps"], found["steps_by"] = self._compute_steps(unit, done, found["steps"])
        counts = self._counts(unit.arm, chat, recipe, data, found["steps"])
        found["tokens"] = counts
        found["memory"] = memory_of(chat, recipe, counts.largest, processes=how.processes)

    def _data(self, arm: str) -> Dataset | None:
        block = self._config.arms[arm]
        if self._out is None and block.data in ("imax", "dmax"):
            return None
        try:
            return arm_dataset(self._out or self._scratch, arm, block)
        except ImaxrayError:
            if block.data in ("imax", "dmax"):
                return None  # not built yet
            if self._out is None or not (self._out / "imax").is_dir():
                return open_dataset(Path(block.data).expanduser())
            raise

    def _entries(self, arm: str, data: Dataset | None) -> int | None:
        if data is not None:
            return int(data.tables.split("train").height)
        # DMAX has as many entries as IMAX
        names = (self._config.arms[arm].data, "imax", "dmax")
        given = next((found for name in names if (found := self._how.entries_of(name))), None)
        return given or self._config.imax.target_entries

    def _outline(self, unit: Unit, recipe: Recipe, data: Dataset | None) -> ChatModel:
        assert unit.model is not None and unit.seed is not None
        block = self._config.all_models[unit.model]
        if block.is_built:
            found = outline_model(self._base(unit), max_image_tokens=recipe.max_image_tokens)
        else:
            found = outline_model(
                block.weights(unit.model),
                convention=recipe.boxes,
                dtype=_dtype(recipe),
                revision=recipe.revision,
                max_image_tokens=recipe.max_image_tokens,
                corpus=() if data is None else _texts(data),
            )
            self._sources.add(found.source)
        return found.chat

    def _base(self, unit: Unit) -> Path:
        """Return the folder of a model that the study builds; it is built anew if need be."""
        assert unit.model is not None and unit.seed is not None
        if self._out is not None:
            folder = base_folder(self._config, self._out, unit.model, unit.seed)
            if (folder / "config.json").is_file():
                return folder
        shape = self._config.all_models[unit.model].shape
        assert shape is not None
        data: list[Dataset] = []
        if not isinstance(shape, MiniConfig):  # which has a vocabulary of its own
            if self._out is None or not (self._out / "imax" / "manifest.json").is_file():
                raise ImaxrayError(
                    f"Expected the text that the vocabulary of {unit.model} is learned from, but "
                    "the data are not built; run the unit data first."
                )
            data = [open_dataset(self._out / name) for name in ("imax", "dmax")]
        folder = self._scratch / f"{unit.model}-{unit.seed}".replace("/", "-")
        return untrained_base(shape, data, folder, seed=unit.seed)

    def _counts(
        self, arm: str, chat: ChatModel, recipe: Recipe, data: Dataset | None, steps: int
    ) -> TokenCounts:
        how, name = self._how, self._config.arms[arm].data
        if data is not None:
            counts = count_tokens(
                chat, data, recipe, steps=steps, sample=how.sample, processes=how.processes
            )
            self._ways.add("counted" if counts.is_exact else "sampled")
            return counts
        each = how.entries_per_image_of(name)
        if each is None and name == "imax":
            each = self._config.imax.entries_per_image
        if each is None and recipe.layout == "packed":
            raise ImaxrayError(
                f"Expected the mean entries per image of {name}, which decide the tokens of packed "
                f"rows, but the data are not built; give --entries-per-image {name}=NUMBER, or run "
                "the unit data."
            )
        if how.text_tokens is None:
            raise ImaxrayError(
                "Expected the mean text tokens of an entry, but the data are not built; give "
                "--text-tokens NUMBER, or run the unit data."
            )
        self._ways.add("means")
        return tokens_of_means(
            chat,
            recipe,
            steps=steps,
            entries_per_image=each or 1.0,
            text_tokens=how.text_tokens,
            size=(how.image_width, how.image_height),
            processes=how.processes,
        )

    def _compute_steps(
        self, unit: Unit, done: Mapping[str, UnitEstimate], steps: int
    ) -> tuple[int, str]:
        """Return the steps of an arm of equal compute, and what decided them."""
        assert unit.model is not None and unit.arm is not None
        if self._out is not None:
            try:
                decided = budget_steps(
                    self._config, self._out, unit.model, unit.arm, steps, keep=False
                )
                return decided, "runs"
            except ImaxrayError:
                pass  # the runs that decide it are not there yet
        rates = []
        for name in (self._config.reference, pilot(self._config.arms, unit.arm)):
            other = done[Unit("train", unit.model, name, unit.seed).name]
            if other.tokens is None or other.steps is None:
                raise ImaxrayError(
                    f"Expected the tokens of {name}, from which the steps of {unit.arm} follow, "
                    "but they are not known; see its own row."
                )
            rates.append(other.tokens.tokens / other.steps)
        reference, own = rates
        return max(1, round(steps * reference / own)), "tokens"

    def _speed(self, unit: Unit) -> dict[str, Any]:
        """Return the measured speed of a training: as given, or that of finished runs like it."""
        assert unit.model is not None and unit.arm is not None
        given = self._how.speed_of(unit.model)
        if given is not None:
            return {"tokens_per_second": given, "speed_by": "given"}
        if self._out is None:
            return {}
        layout = self._config.arms[unit.arm].layout
        speeds: list[float] = []
        for name, arm in self._config.arms.items():
            if arm.is_trained and arm.layout == layout:
                folders = run_folders(self._config, self._out, unit.model, name)
                finished = [folder for folder in folders if (folder / "run.json").is_file()]
                runs = [read_run(folder) for folder in finished]
                speeds += [
                    run["tokens_per_second"] for run in runs if run["identity"]["layout"] == layout
                ]
        if not speeds:
            return {}
        return {"tokens_per_second": sum(speeds) / len(speeds), "speed_by": "runs"}

    def notes(self) -> list[str]:
        """Return what the numbers rest on, in sentences."""
        said = []
        if "counted" in self._ways:
            said.append("Tokens are counted by the code that trains, over every step.")
        if "sampled" in self._ways:
            said.append(
                f"Tokens of long trainings are counted over steps with {self._how.sample:,} "
                "entries, spread evenly over the training, and scaled to all steps."
            )
        if "means" in self._ways:
            said.append(
                "Tokens of data that are not built follow from mean entries per image and mean "
                "text tokens of an entry; padding is left out."
            )
        if "published" in self._sources:
            said.append(
                "Models whose files are not on this machine have their published dimensions; their "
                f"text is counted by a rule, one token per {LETTERS} letters of a word, per digit "
                "and per run of other signs."
            )
        said.append(f"Memory: {FORMULA}")
        said.append(
            "Hours are given where a speed is known: --tokens-per-second, or finished runs of this "
            "study with the same model and layout. Answering is not estimated."
        )
        return said


def _texts(data: Dataset) -> list[str]:
    rows = data.tables.split("train").select("prompt", "target").unique()
    return [f"{prompt}\n{target}" for prompt, target in rows.iter_rows()]


def _dtype(recipe: Recipe) -> torch.dtype | str:
    return "auto" if recipe.precision == "auto" else getattr(torch, recipe.precision)
