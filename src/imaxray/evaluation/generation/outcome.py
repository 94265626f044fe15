"""Defines what every engine shares: the entries of a split, the folder, and the scored outcome."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from imaxray._folders import growing_folder
from imaxray.boxes import BoxConvention
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.config import EvaluateConfig, ScoreConfig
from imaxray.evaluation.generation.prediction_store import PredictionStore
from imaxray.evaluation.predictions import read_predictions
from imaxray.evaluation.result import Result, score_run, write_result
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


def writing(folder: Path) -> AbstractContextManager[None]:
    """Let this process alone write the folder of an evaluation."""
    return growing_folder(folder, ("predictions.parts",))


def subfolder(data: Dataset, split: str) -> str:
    """Return the name of the folder of an evaluation: ``DATASET-SPLIT``."""
    return f"{data.folder.resolve().name}-{split}"


def entries_of(data: Dataset, split: str) -> pl.DataFrame:
    """Return the entries to answer.

    Raises:
        ImaxrayError: If the split is unknown or empty, or a task of the dataset is not known here.
    """
    if split not in SPLITS:
        raise ImaxrayError(
            f"Expected a split, one of {', '.join(SPLITS)}, but got {split}; name one of these."
        )
    entries = data.tables.split(split)
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected entries in the split {split} of {data.folder}, but it has none; name "
            "another --split, or a dataset that has one."
        )
    # scoring, which follows the answers, compares with baselines of the train entries
    require_tasks(data.tables.entries["task"], data.folder)
    return entries


def scored(
    store: PredictionStore,
    data: Dataset,
    entries: pl.DataFrame,
    convention: BoxConvention,
    config: EvaluateConfig,
) -> Evaluation:
    """Merge the parts of a store into its table, score it, and write the result beside it."""
    predictions = store.finish(set(entries["entry_id"]))
    scoring = ScoreConfig(split=config.split, normalisation=config.normalisation)
    result = score_run(data, read_predictions(store.folder), convention, scoring)
    write_result(result, store.folder)
    return Evaluation(store.folder, predictions, result, int((~predictions["ended"]).sum()))
