"""Does pieces of work: each in a folder of its own, finished once, known by its key."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imaxray._files import write_json
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.config import EvaluateConfig
from imaxray.evaluation.generation import evaluate_model, weights_of
from imaxray.evaluation.scoring import Scores
from imaxray.pseudo import (
    AnnotateConfig,
    annotate,
    calibrate,
    filter_candidates,
    load_rules,
    right_candidates,
    write_pseudo,
)
from imaxray.strategy.config import StrategyConfig
from imaxray.strategy.work import AnnotateWork, FilterWork, TrainWork, Work
from imaxray.training import ImageLoader, train_dataset


@dataclass(frozen=True)
class Done:
    """A finished piece of work.

    Attributes:
        work: which.
        folder: run folder, candidates, or dataset.
        record: what it took and gave, JSON-able; lies beside the folder.
        repeated: whether this call did it (false: it was there).
    """

    work: Work
    folder: Path
    record: Mapping[str, Any]
    repeated: bool


class Workshop:
    """Does the work of a strategy.

    Args:
        config: the strategy.
        data: its real data.
        base: the model that stages with ``start: base`` start from.
        place: the folder of a piece of work.
        images: loader of model inputs, where they are held already.
        progress: show the Trainer's bars.
    """

    def __init__(
        self,
        config: StrategyConfig,
        data: Dataset,
        base: str,
        place: Callable[[Work], Path],
        *,
        images: ImageLoader | None = None,
        progress: bool = True,
    ) -> None:
        self._config = config
        self._data = data
        self._base = base
        self._place = place
        self._images = images
        self._progress = progress

    def do(self, work: Work) -> Done:
        """Do ``work``, go on with it, or find it done.

        Raises:
            ImaxrayError: its folder holds files of somebody else; or what the parts raise.
        """
        folder = self._place(work)
        path = folder.with_name(f"{folder.name}.json")
        known = json.loads(path.read_text()) if path.is_file() else None
        if known is not None and known["key"] == work.key and folder.is_dir():
            if known["done"]:
                return Done(work, folder, known, repeated=False)
        elif known is not None:
            shutil.rmtree(folder, ignore_errors=True)  # ours, of another configuration
        elif folder.exists():
            raise ImaxrayError(
                f"Expected no folder or one of this strategy at {folder}, but it holds other "
                "files; choose another --out."
            )
        begun = {"key": work.key, "name": work.name, "round": work.round}
        _write(path, {**begun, "done": False})
        folder.parent.mkdir(parents=True, exist_ok=True)
        clock, cpu = time.perf_counter(), time.process_time()
        if isinstance(work, TrainWork):
            found = self._train(work, folder)
        elif isinstance(work, AnnotateWork):
            found = self._annotate(work, folder)
        else:
            assert isinstance(work, FilterWork)
            found = self._filter(work, folder)
        took = {
            "seconds": round(time.perf_counter() - clock, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
        }
        record = {**begun, **took, **found, "done": True}
        _write(path, record)
        return Done(work, folder, record, repeated=True)

    def scores(self, work: TrainWork, split: str = "test") -> Scores:
        """Scores of a stage on a split; answered once."""
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

    def _train(self, work: TrainWork, folder: Path) -> dict[str, Any]:
        stage = work.stage
        model = self._base if work.start is None else weights_of(self._place(work.start))
        data = self._data if work.data is None else open_dataset(self._place(work.data))
        run = train_dataset(
            data,
            folder,
            self._config.recipe(stage, model, work.seed),
            image_loader=self._images,
            progress=self._progress,
        )
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
        }

    def _annotate(self, work: AnnotateWork, folder: Path) -> dict[str, Any]:
        asked = self._config.annotate
        model = self._base if work.model is None else weights_of(self._place(work.model))
        settings = asked.model_dump(exclude={"seed", "round"})
        found = annotate(
            model,
            self._data,
            folder,
            AnnotateConfig(
                **settings,
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
            "candidates": found.candidates.height,
            "readable": found.candidates["answer"].is_not_null().sum(),
            "images": found.manifest["account"]["images"],
            "tasks": found.summary().to_dicts(),
        }

    def _filter(self, work: FilterWork, folder: Path) -> dict[str, Any]:
        source, asked = self._place(work.candidates), self._config.filter
        candidates = pl.read_parquet(source / "candidates.parquet")
        thresholds = None
        if asked.confidence:
            calibration = pl.read_parquet(source / "calibration.parquet")
            val = self._data.tables.split("val")
            thresholds = calibrate(calibration, val, asked.precision, risk=asked.risk)
        truth = None
        if self._config.truth is not None:
            truth = open_dataset(self._config.truth).tables.split("train")
        asked_of = candidates.height
        if asked.perfect:
            assert truth is not None  # the configuration sees to it
            candidates = right_candidates(candidates, truth)
        filtered = filter_candidates(
            candidates,
            self._data,
            thresholds=thresholds,
            rules=load_rules(asked.rules) if asked.consistency else None,
            balance=asked.balance,
            truth=truth,
        )
        settings = asked.model_dump(mode="json", exclude={"rules"})
        write_pseudo(
            self._data, filtered.kept, folder, dropped=filtered.dropped,
            config={"filter": settings, "round": work.round},
        )  # fmt: skip
        says = {} if thresholds is None else thresholds.tasks
        return {
            "candidates": asked_of,
            "kept": filtered.kept.height,
            "masked": filtered.masked,
            "dropped": dict(filtered.dropped.group_by("code").len().sort("code").iter_rows()),
            "thresholds": {task: found.says for task, found in says.items()},
            "yields": filtered.yields.to_dicts(),
            "rules": filtered.rules.to_dicts(),
            "equal_yield": filtered.equal_yield.to_dicts(),
        }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
