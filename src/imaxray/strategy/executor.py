"""Executes each piece of work once, in its own folder; its key tells whether it is already done."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from imaxray._common.folders import move_aside
from imaxray._common.state import read_state, write_state
from imaxray.curation import Dataset, open_dataset
from imaxray.derive import derive_dataset
from imaxray.derive.applying.measure import switched_off
from imaxray.errors import ImaxrayError
from imaxray.evaluation.config import EvaluateConfig
from imaxray.evaluation.generation import evaluate_model, weights_of
from imaxray.evaluation.scoring import Scores
from imaxray.pseudo import (
    AnnotateConfig,
    annotate,
    chosen_rules,
    filter_annotations,
    write_pseudo,
)
from imaxray.strategy.config import StrategyConfig
from imaxray.strategy.records import (
    AnnotateResult,
    DeriveResult,
    FilterResult,
    TrainResult,
    WorkResult,
)
from imaxray.strategy.work import AnnotateWork, DeriveWork, FilterWork, TrainWork, Work
from imaxray.training import ImageLoader, PictureLoader, train_dataset


class WorkExecutor:
    """Executes the work of a strategy: trains stages, annotates images and filters the answers.

    Args:
        config: Configuration of the strategy.
        data: Dataset with the real entries.
        base: Model that stages with ``start: base`` start from.
        place: Function that returns the folder of a piece of work.
        images: Loader of model inputs, if they are already prepared; by default, training
            prepares them.
        pictures: Loader of pictures, which a training with ``augment`` needs with ``images``.
        progress: Whether to show the progress of training.
    """

    def __init__(
        self,
        config: StrategyConfig,
        data: Dataset,
        base: str,
        place: Callable[[Work], Path],
        *,
        images: ImageLoader | None = None,
        pictures: PictureLoader | None = None,
        progress: bool = True,
        operations: bool = False,
    ) -> None:
        self._config = config
        self._data = data
        self._base = base
        self._place = place
        self._images = images
        self._pictures = pictures
        self._progress = progress
        self._operations = operations

    def do(self, work: Work) -> WorkResult:
        """Do a piece of work, resume it, or return the result of an earlier call.

        Raises:
            ImaxrayError: If the folder of the work holds other files, or if training, annotating
                or filtering raises.
        """
        folder = self._place(work)
        path = folder.with_name(f"{folder.name}.json")
        known = _record(path) if path.is_file() else None
        if known is not None and known["key"] == work.key and folder.is_dir():
            if known["done"]:
                return _result(work, folder, known, done_now=False)
        elif known is not None and not _goes_on(work, known):
            if folder.exists():  # of another configuration
                warnings.warn(f"The earlier {folder} is now in {move_aside(folder)}.", stacklevel=2)
        elif known is None and folder.exists():
            raise ImaxrayError(
                f"Expected a folder of this strategy, or no folder, at {folder}, but it holds "
                "other files; choose another --out."
            )
        begun = {"key": work.key, "name": work.name, "round": work.round}
        if isinstance(work, AnnotateWork) and work.frame:
            begun["frame"] = work.frame
        _write(path, {**begun, "done": False})
        folder.parent.mkdir(parents=True, exist_ok=True)
        clock, cpu = time.perf_counter(), time.process_time()
        found = self._do(work, folder)
        took = {
            "seconds": round(time.perf_counter() - clock, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
        }
        record = {**begun, **took, **found, "done": True}
        _write(path, record)
        return _result(work, folder, record, done_now=True)

    def scores(self, work: TrainWork, split: str = "test") -> Scores:
        """Return the scores of a stage on a split; the model answers the split only once."""
        run = self._place(work)
        asked = evaluate_model(
            run,
            self._data,
            run / "evaluation" / split,
            EvaluateConfig(
                split=split,
                max_new_tokens=self._config.max_new_tokens,
                boxes=self._config.training.get("boxes"),
                revision=self._config.training.get("revision"),
                max_image_tokens=self._config.training.get("max_image_tokens"),
                device=self._config.device,
            ),
        )
        return asked.result.scores

    def _do(self, work: Work, folder: Path) -> dict[str, Any]:
        """Do the work and return the keys of its record that not every record has."""
        if isinstance(work, TrainWork):
            return self._train(work, folder)
        if isinstance(work, AnnotateWork):
            return self._annotate(work, folder)
        if isinstance(work, DeriveWork):
            return self._derive(folder)
        assert isinstance(work, FilterWork)
        return self._filter(work, folder)

    def _known(self, work: DeriveWork | None) -> Dataset:
        """Return the real dataset, or the one with derived entries."""
        return self._data if work is None else open_dataset(self._place(work))

    def _train(self, work: TrainWork, folder: Path) -> dict[str, Any]:
        stage = work.stage
        model = self._base if work.start is None else weights_of(self._place(work.start))
        data = self._data if work.data is None else open_dataset(self._place(work.data))
        run = train_dataset(
            data,
            folder,
            self._config.recipe(stage, model, work.seed),
            image_loader=self._images,
            picture_loader=self._pictures,
            progress=self._progress,
            overwrite=True,
            operations=self._operations,
        )
        counted = run.manifest.get("operations")
        last = run.curve[-1]
        return {
            "stage": stage.name,
            "on": stage.on,
            "start": "base" if work.start is None else work.start.name,
            "layout": run.manifest["identity"]["layout"],
            "steps": last["step"],
            "loss": last["loss"],
            "entries_seen": run.manifest["entries_seen"],
            "train_seconds": run.manifest["seconds"],
            "train_cpu_seconds": run.manifest["cpu_seconds"],
            "drawn": run.manifest["drawn"],
            **({} if counted is None else {"operations": counted}),
        }

    def _derive(self, folder: Path) -> dict[str, Any]:
        # without the truth, which must never decide which rules are used
        made = derive_dataset(self._data.folder, folder, self._config.derive)
        tasks = dict(made.yields.group_by("task").agg(pl.col("entries").sum()).iter_rows())
        return {
            "derived": sum(tasks.values()),
            "tasks": dict(sorted(tasks.items())),
            "rules": made.yields.to_dicts(),
            "switched_off": sorted(names for off in switched_off(made.rules) for names in off),
        }

    def _annotate(self, work: AnnotateWork, folder: Path) -> dict[str, Any]:
        asked = self._config.annotate
        model = self._base if work.model is None else weights_of(self._place(work.model))
        settings = asked.model_dump(exclude={"seed", "round", "teachers"})
        teachers = {
            task: weights_of(self._place(one)) if isinstance(one, TrainWork) else one
            for task, one in work.teachers
        }
        found = annotate(
            model,
            self._known(work.data),
            folder,
            AnnotateConfig(
                **settings,
                teachers=teachers,
                round=work.round,
                seed=work.seed,
                boxes=self._config.training.get("boxes"),
                revision=self._config.training.get("revision"),
                max_image_tokens=self._config.training.get("max_image_tokens"),
                device=self._config.device,
            ),
        )
        return {
            "by": "base" if work.model is None else work.model.name,
            "teachers": {
                task: one.name if isinstance(one, TrainWork) else one for task, one in work.teachers
            },
            "candidates": found.candidates.height,
            "readable": found.candidates["answer"].is_not_null().sum(),
            "images": found.manifest["account"]["images"],
            "tasks": found.summary().to_dicts(),
        }

    def _filter(self, work: FilterWork, folder: Path) -> dict[str, Any]:
        asked = self._config.filter
        data = self._known(work.candidates.data)
        made = filter_annotations(
            self._place(work.candidates),
            data,
            asked,
            rules=chosen_rules(asked, data),
            truth=None if self._config.truth is None else open_dataset(self._config.truth),
        )
        filtered = made.filtered
        settings = asked.decides()
        write_pseudo(
            data, filtered.kept, folder, dropped=filtered.dropped,
            config={"filter": settings, "round": work.round},
        )  # fmt: skip
        says = {} if made.thresholds is None else made.thresholds.tasks
        return {
            "candidates": made.candidates,
            "kept": filtered.kept.height,
            "masked": filtered.masked,
            "dropped": dict(filtered.dropped.group_by("code").len().sort("code").iter_rows()),
            "thresholds": {task: found.says for task, found in says.items()},
            "yields": filtered.yields.to_dicts(),
            "rules": filtered.rules.to_dicts(),
            "equal_yield": filtered.equal_yield.to_dicts(),
        }


def _goes_on(work: Work, known: Mapping[str, Any]) -> bool:
    """Return whether a folder of another key keeps what does not depend on changed teachers."""
    return isinstance(work, AnnotateWork) and bool(work.frame) and known.get("frame") == work.frame


def _result(work: Work, folder: Path, record: Any, *, done_now: bool) -> WorkResult:
    """Return the result in the class that belongs to the work."""
    if isinstance(work, TrainWork):
        return TrainResult(work, folder, record, done_now)
    if isinstance(work, AnnotateWork):
        return AnnotateResult(work, folder, record, done_now)
    if isinstance(work, DeriveWork):
        return DeriveResult(work, folder, record, done_now)
    assert isinstance(work, FilterWork)
    return FilterResult(work, folder, record, done_now)


class _Record(TypedDict):
    """What the record of every piece of work has."""

    key: str
    name: str
    round: int | None
    done: bool


def _record(path: Path) -> Any:
    advice = "remove it and the folder beside it to do the work again"
    return read_state(path, _Record, advice=advice)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_state(path, content)
