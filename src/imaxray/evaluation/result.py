"""Scores a run and writes its result: one JSON file of numbers, one Parquet file of entries."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import write_parquet, write_text
from imaxray._common.folders import (
    claim_files,
    growing_folder,
    record_claimed,
    require_claimable,
)
from imaxray._common.names import require_known
from imaxray._common.state import state_text
from imaxray._version import __version__
from imaxray.boxes import BoxConvention
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.baseline import ceiling, constant_baseline, majority_baseline
from imaxray.evaluation.comparing.effects import compare, compare_groups
from imaxray.evaluation.comparing.groups import subgroups
from imaxray.evaluation.comparing.resampling import finite
from imaxray.evaluation.config import ScoreConfig
from imaxray.evaluation.joining import join_predictions, why_not_joined
from imaxray.evaluation.predictions import Predictions
from imaxray.evaluation.scoring import Scores, per_entry, point, score
from imaxray.evaluation.truth import truth_ceiling
from imaxray.labeller import LABELLER_VERSION
from imaxray.metrics import bleu_signature, reasons_not_computed
from imaxray.metrics.captions import TOKENISER
from imaxray.schema import SPLITS
from imaxray.tasks import READING_VERSION, RULES, get_task, require_tasks

FORMAT: Final = 1
_FILES: Final = ("result.json", "scores.parquet")
_KNOWN_BY: Final = {
    "result.json": ('"decided_by"',), "predictions.json": ('"identity"', '"dataset"'),
}  # fmt: skip
_RUN: Final = "run"
_PACKAGES: Final = (
    "numpy", "scipy", "polars", "scikit-learn", "sacrebleu", "rouge-score", "nltk",
    "pycocoevalcap", "RadEval",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The result of a scored run.

    Attributes:
        data: Every number, with the versions and options that it depends on; can be written as
            JSON. Values that could not be measured are ``null``. The same predictions, dataset and
            options give the same bytes.
        entries: One row per entry with ids, task, raw text, extracted answer (JSON; null if
            unreadable), primary score, and one column per metric.
        scores: Scores of the run, the input of :func:`imaxray.evaluation.compare`.
    """

    data: Mapping[str, Any]
    entries: pl.DataFrame
    scores: Scores


def score_run(
    dataset: Dataset,
    predictions: Predictions,
    convention: BoxConvention,
    config: ScoreConfig | None = None,
) -> Result:
    """Score predictions against a dataset; an entry without a prediction counts as wrong.

    Args:
        dataset: Opened dataset.
        predictions: Predictions as :func:`imaxray.evaluation.read_predictions` returns them.
        convention: Convention in which the model writes boxes.
        config: Options: split, reading rules, extra metrics, and bootstrap over patients.

    Raises:
        ImaxrayError: If the split is unknown or empty, if no prediction belongs to an entry of the
            split, or if :func:`imaxray.evaluation.score` raises.
    """
    config = config or ScoreConfig()
    split, extras = config.split, config.extras
    require_known(split, SPLITS, "a split")
    tables = dataset.tables
    entries = tables.split(split)
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected entries in the split {split} of {dataset.folder}, but the split is empty; "
            "name another split."
        )
    require_tasks(tables.entries["task"], dataset.folder)  # the baselines need those of train
    join = join_predictions(
        predictions.table, tables.entries, tables.images, convention,
        split=split, by=predictions.by,
    )  # fmt: skip
    scores = score(
        entries, join.table, tables.images, convention,
        rules=config.rules, missing="wrong", extras=extras, normalisation=config.normalisation,
    )  # fmt: skip
    if scores.counts["missing"] == entries.height:
        named = "ids" if predictions.by == "entry_id" else "images and questions"
        why = " ".join(why_not_joined(join.as_dict()["not_joined"]))
        raise ImaxrayError(
            f"Expected answers to the {entries.height} entries of {dataset.folder} ({split}), but "
            f"none of the {join.predictions} predictions has one of their {named}; name the "
            f"dataset and split that the model answered. {why}".rstrip()
        )
    train = tables.split("train")
    options: dict[str, Any] = {
        "seed": config.seed,
        "resamples": config.resamples,
        "permutations": 0,
        "level": config.level,
    }
    whole = compare({_RUN: scores}, reference=_RUN, **options).as_dict()
    baselines = {"ceiling": ceiling(entries, tables.images, convention, config.normalisation)}
    if train.height:  # constant answers are chosen from train entries
        baselines = {
            "constant": constant_baseline(train, entries, tables.images, config.normalisation),
            "majority": majority_baseline(train, entries, tables.images, config.normalisation),
            **baselines,
        }
    every = pl.concat([tables.split(name) for name in SPLITS])
    groups = subgroups(entries, tables.images, all_entries=every)
    parts = compare_groups({_RUN: scores}, groups, reference=_RUN, **options)
    data = {
        "format": FORMAT,
        "decided_by": {
            "imaxray": __version__,
            "python": platform.python_version(),
            "dataset": {
                "sha256": dataset.sha256,
                "role": dataset.manifest.get("role"),
                "split": split,
                "text_cleaning": dataset.text_cleaning,
            },
            "predictions": {
                "file": predictions.name,
                "sha256": predictions.sha256,
                "by": predictions.by,
            },
            "boxes": convention.as_dict(),
            "reading": READING_VERSION,
            "reading_rules": [rule for rule in RULES if rule in config.rules],
            "normalisation": config.normalisation,
            "labeller": LABELLER_VERSION,
            "tokenisers": {
                "BLEU": bleu_signature(),
                "ROUGE-L": "rouge-score with stemmer",
                "token F1": f"{config.normalisation} normalisation",
                "METEOR": "METEOR 1.5 -norm",
                "CIDEr": TOKENISER,
            },
            "packages": {name: _version(name) for name in _PACKAGES},
            "bootstrap": {
                "over": "patients",
                "resamples": config.resamples,
                "level": config.level,
                "seed": config.seed,
            },
        },
        # a prediction that answers several entries, because they ask the same, is one prediction
        "counts": {
            **scores.counts,
            "predictions": join.predictions,
            "unknown": join.predictions - join.joined,
            "doubles": join.doubles,
        },
        "join": join.as_dict(),
        "not_computed": reasons_not_computed(extras),
        "failed": {task: dict(reasons) for task, reasons in scores.failed.items()},
        "patients": whole["patients"],
        "tasks": [_task(row, scores, baselines) for row in whole["tasks"]],
        "truth": None
        if config.truth is None
        else _true(truth_ceiling(entries, config.truth, config.normalisation)),
        "groups": {
            prop: {value: _group(part.as_dict()) for value, part in values.items()}
            for prop, values in parts.items()
        },
    }
    return Result(finite(data), per_entry(scores), scores)


def require_result_place(out: Path) -> None:
    """Check, before long work, that :func:`write_result` will take a folder.

    Raises:
        ImaxrayError: If ``out`` is a file, or holds a file of the user with the name of a result.
    """
    if out.is_file():
        raise ImaxrayError(f"Expected an output folder, but {out} is a file; name a folder.")
    require_claimable(out, _FILES, "a result", known_by=_KNOWN_BY)


def write_result(result: Result, out: Path) -> None:
    """Write ``result.json`` and ``scores.parquet`` into the folder ``out``.

    Each file is written completely or not at all, and what a killed call left is removed.

    Raises:
        ImaxrayError: As :func:`require_result_place`, or if another process writes the folder.
    """
    require_result_place(out)
    with growing_folder(out):
        claim_files(out, _FILES, "a result", known_by=_KNOWN_BY)
        out.mkdir(parents=True, exist_ok=True)
        write_parquet(out / "scores.parquet", result.entries)
        text = state_text(result.data, allow_nan=False)
        write_text(out / "result.json", text)
        record_claimed(out)


def _task(
    row: Mapping[str, Any], scores: Scores, baselines: Mapping[str, Scores]
) -> dict[str, Any]:
    name = row["task"]
    task, of_task = get_task(name), scores.tasks[name]
    primary = {k: row["arms"][_RUN][k] for k in ("value", "low", "high")}
    cells = {row["metric"]: primary, **{m: arms[_RUN] for m, arms in row["others"].items()}}
    metrics = []
    for metric_name in of_task.statistics:
        metric = task.metric(metric_name)
        metrics.append(
            {
                "name": metric_name,
                "higher_is_better": metric.higher_is_better,
                "low_bound": metric.low,
                "high_bound": metric.high,
                "best": metric.best,
                "unit": metric.unit,
                **cells[metric_name],
                "baselines": {
                    kind: point(other.tasks[name], metric)
                    for kind, other in baselines.items()
                    if metric_name in other.tasks[name].statistics
                },
            }
        )
    return {
        "task": name,
        "primary": row["metric"],
        "entries": row["entries"],
        "patients": row["patients"],
        "invalid": row["arms"][_RUN]["invalid"],
        "reading": dict(scores.reading.get(name, {})),
        "metrics": metrics,
        **task.details(of_task.statistics),
    }


def _true(scores: Scores) -> dict[str, Any]:
    return {
        name: {
            "entries": len(of_task.entry_ids),
            **{m: point(of_task, get_task(name).metric(m)) for m in of_task.statistics},
        }
        for name, of_task in scores.tasks.items()
    }


def _group(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = ("task", "metric", "higher_is_better", "entries", "patients")
    return [{**{k: row[k] for k in keys}, **row["arms"][_RUN]} for row in part["tasks"]]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
