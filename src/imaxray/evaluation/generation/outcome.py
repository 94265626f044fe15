"""Defines what every engine shares: the entries of a split, the folder, and the scored outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from imaxray._common.folders import growing_folder
from imaxray._common.names import require_known
from imaxray._common.state import read_state
from imaxray.boxes import BoxConvention
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.config import EvaluateConfig, ScoreConfig
from imaxray.evaluation.generation.prediction_store import PredictionStore
from imaxray.evaluation.predictions import read_predictions
from imaxray.evaluation.result import Result, require_result_place, score_run, write_result
from imaxray.schema import SPLITS
from imaxray.tasks import require_tasks


@dataclass(frozen=True)
class Evaluation:
    """Describes an evaluated model: ``predictions.parquet``, ``scores.parquet``, ``result.json``.

    Attributes:
        folder: Folder of these files.
        predictions: Predictions with schema PREDICTIONS, sorted by entry id.
        result: Scores with confidence intervals and baselines, and the settings that decided them.
        unfinished: Number of answers that were cut at the maximum length.
        finish_reasons: Number of answers by the reason that a chat server gave for their end;
            empty for the other engines.
    """

    folder: Path
    predictions: pl.DataFrame
    result: Result
    unfinished: int
    finish_reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """Answers of a model to a split: ``predictions.parquet`` and ``predictions.json``.

    Attributes:
        folder: Folder of these files.
        predictions: Predictions with schema PREDICTIONS, sorted by entry id.
        convention: Box convention in which the model writes.
    """

    folder: Path
    predictions: pl.DataFrame
    convention: BoxConvention


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Let this process alone write the folder of an evaluation.

    Raises:
        ImaxrayError: If another process writes it, or it holds a file of the user with the name of
            a result.
    """
    with growing_folder(folder, ("predictions.parts",)):
        require_result_place(folder)
        yield


def subfolder(data: Dataset, split: str) -> str:
    """Return the name of the folder of an evaluation: ``DATASET-SPLIT``."""
    return f"{data.folder.resolve().name}-{split}"


def entries_of(data: Dataset, split: str) -> pl.DataFrame:
    """Return the entries to answer.

    Raises:
        ImaxrayError: If the split is unknown or empty, or a task of the dataset is not known here.
    """
    require_known(split, SPLITS, "a split")
    entries = data.tables.split(split)
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected entries in the split {split} of {data.folder}, but it has none; name "
            "another --split, or a dataset that has one."
        )
    require_tasks(entries["task"], data.folder)
    return entries


def scored(given: Answers, data: Dataset, config: EvaluateConfig) -> Evaluation:
    """Score answers, and write the result beside them."""
    scoring = ScoreConfig(split=config.split, normalisation=config.normalisation)
    result = score_run(data, read_predictions(given.folder), given.convention, scoring)
    write_result(result, given.folder)
    unfinished = int((~given.predictions["ended"]).sum())
    return Evaluation(given.folder, given.predictions, result, unfinished)


def stored_answers(folder: Path) -> Answers:
    """Read the finished answers of :func:`answer_model` without the model.

    Raises:
        ImaxrayError: If the folder has no answers, or answers that were changed or are not
            finished.
    """
    path = folder / "predictions.json"
    if not path.is_file():
        raise ImaxrayError(
            f"Expected the answers of a model in {folder}, but it has no predictions.json; "
            "evaluate the model."
        )
    identity = read_state(path, _Stored, advice="evaluate the model again")["identity"]
    store = PredictionStore(folder, identity)
    if not store.finished:
        raise ImaxrayError(
            f"Expected finished answers in {folder}, but the evaluation was stopped; start it "
            "again, which continues it."
        )
    return Answers(folder, store.table(), BoxConvention.from_dict(identity["boxes"]))


class _Stored(TypedDict):
    """What :func:`stored_answers` needs of ``predictions.json``."""

    identity: dict[str, Any]
