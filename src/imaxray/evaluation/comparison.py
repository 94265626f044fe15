"""Arms against each other on one test set: values, gains, and intervals over patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from imaxray.errors import ImaxrayError
from imaxray.evaluation.scoring import Scores, TaskScores
from imaxray.metrics import Floats, Metric
from imaxray.schema import TASKS
from imaxray.tasks import get_task

_TINY = 1e-3
"""A reference value nearer to zero than this gives no relative gain."""


@dataclass(frozen=True)
class Comparison:
    """Every number of a comparison, JSON-able.

    ``as_dict`` has: reference, level, resamples; ``tasks``: per task metric, direction, entries,
    patients, the constant baseline, per arm value with interval and invalid rate, per other arm the
    difference to the reference and the relative gain with intervals, and the other metrics;
    ``mean_gain`` per arm. Gains are fractions, positive where the arm is better.
    """

    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The plain dictionary."""
        return dict(self.data)

    def table(self, title: str) -> Table:
        """The comparison as a table for the terminal."""
        arms = list(self.data["arms"])
        table = Table(title=title, title_justify="left")
        table.add_column("task")
        table.add_column("metric")
        table.add_column("constant", justify="right")
        for arm in arms:
            table.add_column(arm, justify="right")
        for arm in arms:
            if arm != self.data["reference"]:
                table.add_column(f"gain {arm}", justify="right")
        for row in self.data["tasks"]:
            arrow = "↑" if row["higher_is_better"] else "↓"
            constant = "–" if row["constant"] is None else f"{row['constant']:.3f}"
            cells = [row["task"], f"{row['metric']} {arrow}", constant]
            cells += [_interval(row["arms"][arm]) for arm in arms]
            cells += [_percent(row["gains"][arm]) for arm in arms if arm in row["gains"]]
            table.add_row(*cells)
        means = [_percent(self.data["mean_gain"][arm]) for arm in arms
                 if arm in self.data["mean_gain"]]  # fmt: skip
        table.add_section()
        table.add_row("mean", "relative gain", "", *([""] * len(arms)), *means)
        return table


def compare(
    arms: Mapping[str, Scores],
    *,
    reference: str,
    constant: Scores | None = None,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Comparison:
    """Compare ``arms`` with the ``reference`` arm by a paired bootstrap over patients.

    Every resample draws patients with replacement, the same ones for all arms and tasks. Relative
    gain of a task: (arm - reference) / |reference| in the metric's direction (LibMTL's formula);
    where the reference is near zero there is none, and the task is left out of the mean.

    Args:
        arms: scores on the same entries.
        reference: name of the arm that gains are relative to.
        constant: scores of the constant baseline.
        seed: of the resampling.
        resamples: bootstrap draws.
        level: of the percentile intervals.

    Raises:
        ImaxrayError: unknown reference, or arms scored on different entries.
    """
    if reference not in arms:
        raise ImaxrayError(
            f"Expected one of the arms {', '.join(arms)} as reference, but got {reference}."
        )
    _require_same_entries(arms, reference)
    names = [task for task in TASKS if task in arms[reference].tasks]
    patients = sorted({p for t in arms[reference].tasks.values() for p in t.patients})
    weights = _draws(len(patients), resamples, seed)
    rows = []
    gains: dict[str, list[Floats]] = {arm: [] for arm in arms if arm != reference}
    for name in names:
        primary = get_task(name).primary
        drawn = {
            arm: _resampled(s.tasks[name], primary, patients, weights) for arm, s in arms.items()
        }
        row: dict[str, Any] = {
            "task": name,
            "metric": primary.name,
            "unit": primary.unit,
            "higher_is_better": primary.higher_is_better,
            "entries": len(arms[reference].tasks[name].entry_ids),
            "patients": len(set(arms[reference].tasks[name].patients)),
            "constant": None if constant is None else _point(constant.tasks[name], primary),
            "arms": {
                arm: {**_summary(values, level), "invalid": _invalid(arms[arm].tasks[name], name)}
                for arm, values in drawn.items()
            },
            "differences": {},
            "gains": {},
            "others": _others(arms, name, patients, weights, level),
        }
        sign = 1.0 if primary.higher_is_better else -1.0
        base = drawn[reference]
        for arm in gains:
            row["differences"][arm] = _summary(drawn[arm] - base, level)
            if abs(base[0]) < _TINY:
                row["gains"][arm] = None
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                gain = sign * (drawn[arm] - base) / np.abs(base)
            gain = np.where(np.isfinite(gain), gain, 0.0)
            row["gains"][arm] = _summary(gain, level)
            gains[arm].append(gain)
        rows.append(row)
    return Comparison(
        {
            "reference": reference,
            "arms": list(arms),
            "level": level,
            "resamples": resamples,
            "patients": len(patients),
            "tasks": rows,
            "mean_gain": {
                arm: _summary(np.mean(values, axis=0), level) if values else None
                for arm, values in gains.items()
            },
        }
    )


def _require_same_entries(arms: Mapping[str, Scores], reference: str) -> None:
    wanted = {task: scores.entry_ids for task, scores in arms[reference].tasks.items()}
    for arm, scores in arms.items():
        if {task: of_task.entry_ids for task, of_task in scores.tasks.items()} != wanted:
            raise ImaxrayError(
                f"Expected the arms {reference} and {arm} to be scored on the same entries, but "
                "they differ; evaluate both on one test set."
            )


def _draws(patients: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each patient is in each resample, (1 + resamples, patients); row 0 is the data."""
    random = np.random.default_rng(seed)
    counts = random.multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    return np.vstack([np.ones(patients), counts]).astype(np.float64)


def _resampled(
    scores: TaskScores, metric: Metric, patients: list[str], weights: NDArray[np.float64]
) -> Floats:
    """Metric on the data (first) and on each resample, shape (1 + resamples,)."""
    number = {patient: index for index, patient in enumerate(patients)}
    statistics = scores.statistics[metric.name]
    sums = np.zeros((len(patients), statistics.shape[1]))
    np.add.at(sums, [number[patient] for patient in scores.patients], statistics)
    return metric.value(weights @ sums)


def _others(
    arms: Mapping[str, Scores],
    task: str,
    patients: list[str],
    weights: NDArray[np.float64],
    level: float,
) -> dict[str, Any]:
    return {
        metric.name: {
            arm: _summary(_resampled(scores.tasks[task], metric, patients, weights), level)
            for arm, scores in arms.items()
        }
        for metric in get_task(task).metrics[1:]
    }


def _summary(values: Floats, level: float) -> dict[str, float]:
    """Value on the data, and the percentile interval of the resamples."""
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _point(scores: TaskScores, metric: Metric) -> float:
    return float(metric.value(scores.statistics[metric.name].sum(axis=0)))


def _invalid(scores: TaskScores, task: str) -> float:
    metric = next(m for m in get_task(task).metrics if m.name == "invalid")
    return _point(scores, metric)


def _interval(cell: Mapping[str, float]) -> str:
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def _percent(cell: Mapping[str, float] | None) -> str:
    if cell is None:
        return "–"
    return f"{100 * cell['value']:+.1f} % [{100 * cell['low']:+.1f}, {100 * cell['high']:+.1f}]"
