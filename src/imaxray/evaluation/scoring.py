"""Scores raw answers: cleans and parses each text and keeps metric statistics per entry."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from imaxray._common.names import require_known
from imaxray._common.plugins import Plugin, running
from imaxray.boxes import BoxConvention
from imaxray.errors import ImaxrayError
from imaxray.metrics import (
    INVALID,
    NORMALISATION,
    Floats,
    Metric,
    Normalisation,
    is_long,
    list_extras,
    plugin_of_extra,
)
from imaxray.schema import image_sizes
from imaxray.tasks import (
    RULES,
    from_json,
    get_task,
    read_answer,
    require_rules,
    require_tasks,
    to_json,
)


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task.

    Attributes:
        entry_ids: Sorted ids of the entries, length n.
        patients: Patient of each entry, length n.
        statistics: Metric name → additive statistics of the entries, (n, k).
    """

    entry_ids: list[str]
    patients: list[str]
    statistics: Mapping[str, Floats]


@dataclass(frozen=True)
class Scores:
    """Scores of one model (or baseline) on a set of entries.

    Attributes:
        tasks: Task name → scores, in the order of the entries; tasks without entries are absent.
        table: One row per entry with entry_id, image_id, patient_id, task, text, answer (parsed,
            JSON; null if unreadable) and score (the primary metric of the entry alone).
        counts: Number of ``entries``, of ``predictions``, of entries without a prediction
            (``missing``), of predictions with an unknown id (``unknown``) or a repeated id
            (``doubles``), of ``empty`` answers, and of answers that some metrics do not read to
            their end (``long``, see :mod:`imaxray.metrics.length`). Baselines have no counts.
        failed: Task name → metric name → why the metric could not be computed. Such a metric has no
            statistics; all other metrics do.
        reading: Task → name of a reading rule → number of answers whose text it changed or whose
            value it decided; rules that no answer needed are absent. Baselines have none.
    """

    tasks: Mapping[str, TaskScores]
    table: pl.DataFrame
    counts: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reading: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


_TABLE = pl.Schema(
    {
        "entry_id": pl.String,
        "image_id": pl.String,
        "patient_id": pl.String,
        "task": pl.String,
        "text": pl.String,
        "answer": pl.String,
        "score": pl.Float64,
    }
)


def score(
    entries: pl.DataFrame,
    predictions: pl.DataFrame,
    images: pl.DataFrame,
    convention: BoxConvention,
    *,
    rules: Sequence[str] = tuple(RULES),
    missing: Literal["error", "wrong"] = "error",
    extras: Collection[str] = (),
    normalisation: Normalisation = NORMALISATION,
) -> Scores:
    """Score ``predictions`` (entry_id, text) against ``entries``.

    An answer that is unreadable or null counts as wrong and is not left out. Predictions with
    unknown ids are left out. If an id is repeated, its first prediction counts. The ``counts`` of
    the result say how often each case occurred. A metric that fails is left out with a warning, and
    ``failed`` of the result says why; the primary metric and the share of invalid answers, which
    every comparison needs, must not fail.

    Args:
        entries: Entries to score, schema ENTRIES.
        predictions: Raw texts of the model, columns entry_id and text.
        images: Images of the entries, schema IMAGES; their sizes turn boxes into pixels.
        convention: Convention in which the model writes boxes.
        rules: Reading rules to apply, names of :data:`imaxray.tasks.RULES`.
        missing: Whether an entry without a prediction is an error or counts as a wrong answer.
        extras: Extras to compute besides the tasks' own metrics, names of
            :func:`imaxray.metrics.list_extras`.
        normalisation: How texts are made comparable, see :mod:`imaxray.metrics.normalising`.

    Raises:
        ImaxrayError: If an entry has no prediction and ``missing`` is ``"error"``, if an extra is
            unknown or not installed, if a reading rule is unknown, or if the primary metric of a
            task of another package fails.
    """
    require_extras(extras)
    require_tasks(entries["task"], "the entries")
    require_rules(rules)
    known = set(entries["entry_id"])
    asked = predictions.filter(pl.col("entry_id").is_in(known))
    first = asked.unique("entry_id", keep="first", maintain_order=True)
    texts: dict[str, str | None] = dict(first.select("entry_id", "text").iter_rows())
    absent = [e for e in entries["entry_id"] if e not in texts]
    if absent and missing == "error":
        raise ImaxrayError(
            f"Expected a prediction for each of {entries.height} entries, but {len(absent)} have "
            f"none (first: {absent[0]}); generate answers for all of them."
        )
    sizes = image_sizes(images)
    needed: dict[str, Counter[str]] = {}

    long = 0

    def parsed(entry: Mapping[str, Any]) -> tuple[str | None, Any]:
        nonlocal long
        text = texts.get(entry["entry_id"])
        if text is None:
            return None, None
        answer = read_answer(
            get_task(entry["task"]), text, entry["template"], prompt=entry["prompt"] or "",
            convention=convention, size=sizes[entry["image_id"]], rules=rules,
        )  # fmt: skip
        needed.setdefault(entry["task"], Counter()).update(answer.rules)
        long += is_long(answer.value)
        return text, answer.value

    def gold_of(entry: Mapping[str, Any]) -> Any:
        gold = from_json(entry["answer"])
        if "options" not in rules:
            return gold
        return get_task(entry["task"]).gold_of_options(gold, entry["prompt"] or "")

    scores = score_answers(
        entries, parsed, gold_of=gold_of, extras=extras, normalisation=normalisation
    )
    counts = {
        "entries": entries.height,
        "predictions": predictions.height,
        "missing": len(absent),
        "unknown": predictions.height - asked.height,
        "doubles": asked.height - first.height,
        "empty": sum(text is None or not text.strip() for text in texts.values()),
        "long": long,
    }
    reading = {
        task: {rule: of_task[rule] for rule in RULES if of_task[rule]}
        for task, of_task in needed.items()
    }
    return replace(scores, counts=counts, reading=reading)


def score_answers(
    entries: pl.DataFrame,
    answer_of: Callable[[Mapping[str, Any]], tuple[str | None, Any]],
    *,
    gold_of: Callable[[Mapping[str, Any]], Any] | None = None,
    extras: Collection[str] = (),
    normalisation: Normalisation = NORMALISATION,
) -> Scores:
    """Score the answers (raw text, parsed answer) that the function ``answer_of`` returns.

    Args:
        entries: Entries to score, schema ENTRIES.
        answer_of: Function from an entry to its raw text and its parsed answer.
        gold_of: Function from an entry to its gold answer; default: the one that it states.
        extras: Extras to compute besides the tasks' own metrics.
        normalisation: How texts are made comparable.
    """
    require_extras(extras)
    require_tasks(entries["task"], "the entries")
    tasks: dict[str, TaskScores] = {}
    failed: dict[str, dict[str, str]] = {}
    rows: list[tuple[Any, ...]] = []
    for task_name in entries["task"].unique(maintain_order=True).to_list():
        task = get_task(task_name)
        of_task = entries.filter(pl.col("task") == task_name).sort("entry_id")
        golds, texts, answers = [], [], []
        for entry in of_task.iter_rows(named=True):
            text, answer = answer_of(entry)
            golds.append(gold_of(entry) if gold_of else from_json(entry["answer"]))
            texts.append(text)
            answers.append(answer)
        statistics: dict[str, Floats] = {}
        for metric, plugin in metrics_of(task_name, extras):
            try:
                statistics[metric.name] = _statistics(
                    metric.under(normalisation), plugin, golds, answers
                )
            except Exception as error:  # programs and models of others may raise anything
                if metric.name in (task.primary.name, INVALID):
                    raise
                failed.setdefault(task_name, {})[metric.name] = _reason(error)
                warnings.warn(
                    f"{metric.name} of {task_name} could not be computed and is left out: "
                    f"{_reason(error)}",
                    stacklevel=2,
                )
        tasks[task_name] = TaskScores(
            of_task["entry_id"].to_list(), of_task["patient_id"].to_list(), statistics
        )
        own = task.primary.each(statistics[task.primary.name])
        ids = of_task.select("entry_id", "image_id", "patient_id").iter_rows()
        rows += [
            (*row, task_name, text, None if answer is None else to_json(answer), float(value))
            for row, text, answer, value in zip(ids, texts, answers, own, strict=True)
        ]
    return Scores(tasks, pl.DataFrame(rows, schema=_TABLE, orient="row"), failed=failed)


def metrics_of(task_name: str, extras: Collection[str] = ()) -> list[tuple[Metric, Plugin | None]]:
    """Return the task's own metrics and those of the ``extras``, each with its plug-in, if any."""
    task = get_task(task_name)
    own = [(metric, task.plugin) for metric in task.metrics]
    return own + [
        (metric, task.plugin if extra in task.optional else plugin_of_extra(extra))
        for extra in extras
        for metric in task.extra_metrics(extra)
    ]


def _statistics(
    metric: Metric, plugin: Plugin | None, golds: Sequence[Any], answers: Sequence[Any]
) -> Floats:
    """Return the statistics of a metric; a failure of a plug-in's metric is one sentence."""
    with running(plugin, f"metric {metric.name}"):
        statistics = metric.matrix(golds, answers)
        if plugin is not None:
            metric.of(statistics)  # later stages compute values from statistics alone
            metric.each(statistics)
    return statistics


def _reason(error: Exception) -> str:
    """Return why a metric failed, as one line."""
    said = " ".join(str(error).split())
    return said if isinstance(error, ImaxrayError) else f"{type(error).__name__}: {said}"


def require_extras(extras: Collection[str]) -> None:
    """Check that the metrics of ``extras`` can be computed.

    Raises:
        ImaxrayError: If an extra is unknown, or if something that it needs is not installed.
    """
    known = list_extras() if extras else {}
    for extra in extras:
        require_known(extra, known, "extra metrics")
        if lacking := known[extra]():
            raise ImaxrayError(lacking)


def per_entry(scores: Scores) -> pl.DataFrame:
    """Return ``scores.table`` with one column per metric.

    A cell is the metric of the entry alone, and null if the entry's task does not have the metric.
    """
    parts = []
    for name, of_task in scores.tasks.items():
        task = get_task(name)
        columns = {
            metric: task.metric(metric).each(statistics)
            for metric, statistics in of_task.statistics.items()
        }
        parts.append(pl.DataFrame({"entry_id": of_task.entry_ids, **columns}))
    if not parts:
        return scores.table
    wide = pl.concat(parts, how="diagonal").with_columns(pl.selectors.float().fill_nan(None))
    return scores.table.join(wide, on="entry_id", how="left", maintain_order="left")


def restrict(scores: Scores, entry_ids: Collection[str]) -> Scores:
    """Return the scores of the given entries; tasks without any of them are absent."""
    wanted = set(entry_ids)
    tasks = {}
    for name, of_task in scores.tasks.items():
        kept = np.array([entry in wanted for entry in of_task.entry_ids], dtype=bool)
        if kept.any():
            tasks[name] = TaskScores(
                [e for e, keep in zip(of_task.entry_ids, kept, strict=True) if keep],
                [p for p, keep in zip(of_task.patients, kept, strict=True) if keep],
                {metric: matrix[kept] for metric, matrix in of_task.statistics.items()},
            )
    table = scores.table.filter(pl.col("entry_id").is_in(wanted))
    return replace(scores, tasks=tasks, table=table)


def primary_values(scores: Scores) -> dict[str, float]:
    """Return the primary metric of every task over all its entries."""
    return {name: point(of_task, get_task(name).primary) for name, of_task in scores.tasks.items()}


def point(scores: TaskScores, metric: Metric) -> float:
    """Return a metric over all entries of a task."""
    return metric.of(scores.statistics[metric.name])
