"""Correlates gradient statistics with task scores over runs (rank correlation; shows no cause)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from imaxray._common.files import read_parquet
from imaxray._common.names import require_known
from imaxray._common.state import read_state
from imaxray.dynamics.comparing.runs import probe_folder, recorded
from imaxray.dynamics.numbers.gram import Reduction
from imaxray.errors import ImaxrayError
from imaxray.tasks import get_task

Floats = NDArray[np.float64]

CAVEAT: Final = (
    "A correlation over a few runs shows no cause: every difference between runs (data, layout, "
    "seed) changes both dynamics and scores, and among many correlations some are large by chance."
)
"""Caveat to be printed beside every number of :func:`correlate_scores`."""

MEAN: Final = "mean relative"
"""Name of the row with the mean over tasks of each run's relative score."""

OWN: Final = "scores.parquet"
_TINY: Final = 1e-3  # as in comparisons: a mean nearer to zero has no relative score


def run_scores(runs: Sequence[Path], *, evaluation: str | None = None) -> pl.DataFrame:
    """Read the final task scores of runs from their folders.

    A run of a study has ``scores.parquet``; the score of a task is the mean over entries of the
    entry's primary metric. A result of ``imaxray evaluate`` is ``evaluation/NAME/result.json``; the
    score of a task is the primary metric over all entries.

    Args:
        runs: Run folders.
        evaluation: NAME of an evaluation, or ``scores.parquet``. If None, the only one that all
            runs have.

    Returns:
        Columns run, task, metric, higher_is_better, entries and score. A task without measured
        entries has no row.

    Raises:
        ImaxrayError: If the runs share no scores, share several and none is named, or were scored
            on different entries.
    """
    common = set.intersection(*(_available(run) for run in runs)) if runs else set()
    if evaluation is not None:
        common &= {evaluation}
    if len(common) != 1:
        which = f"several ({', '.join(sorted(common))}); name one of them"
        none = (
            "none; run `imaxray evaluate RUN --data DATASET` on every run, or name runs of a study"
        )
        raise ImaxrayError(
            f"Expected one set of scores that all {len(runs)} runs hold"
            f"{'' if evaluation is None else f', {evaluation}'}, but there "
            f"{f'are {which}' if common else f'is {none}'}."
        )
    name = common.pop()
    of = [_own(run) if name == OWN else _evaluated(run, name) for run in runs]
    if len({about for about, _ in of}) > 1:
        raise ImaxrayError(
            f"Expected the scores {name} of all runs to be of the same entries, but they differ; "
            "evaluate all runs on one dataset and split."
        )
    return pl.DataFrame(
        [{"run": str(run), **row} for run, (_, rows) in zip(runs, of, strict=True) for row in rows],
        schema={"run": pl.String, "task": pl.String, "metric": pl.String,
                "higher_is_better": pl.Boolean, "entries": pl.Int64, "score": pl.Float64},
    )  # fmt: skip


def correlate_scores(
    runs: Sequence[Path],
    measured: Sequence[Path] | None = None,
    *,
    arms: Sequence[str] | None = None,
    statistics: Sequence[str] = ("se", "rho", "h2"),
    reductions: Sequence[Reduction] = ("sum", "unit-norm"),
    group: str = "all",
    evaluation: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Compute Spearman correlations over runs between last measurements and final task scores.

    The sign of scores is set so that higher is better. The interval is Fisher's z with the standard
    error √((1 + r²/2) / (n − 3)) of Bonett and Wright (2000). It needs at least four runs, and does
    not exist for r = ±1, because z is infinite there. It assumes that runs are independent draws,
    which seeds of two arms are not. Print :data:`CAVEAT` beside every number.

    Args:
        runs: Folders with scores, see :func:`run_scores`.
        measured: Folder of each run's measurements. If None, the run folders themselves.
        arms: Arm of each run. If None, all runs are of one arm.
        statistics: Statistics to correlate, which are columns of ``spectra.parquet``.
        reductions: Reductions of each entry's loss.
        group: Name of a module group, or "all".
        evaluation: Which scores are read, see :func:`run_scores`.
        level: Confidence level of the intervals.

    Returns:
        One row per reduction, statistic and task, and a row :data:`MEAN` (mean over tasks of a
        run's score relative to the mean of all runs). Columns: reduction, statistic, task, metric,
        runs (n), spearman (null for fewer than three runs, or if nothing varies), low, high,
        within_arms (Spearman correlation after the mean of each arm is subtracted; null if there is
        one arm, or an arm has one run).

    Raises:
        ImaxrayError: If scores or measurements are missing, or measurements are on different
            entries.
    """
    folders = list(runs if measured is None else measured)
    scores = run_scores(runs, evaluation=evaluation)
    last = _last(folders, group)
    label = np.asarray(["all"] * len(runs) if arms is None else list(arms))
    columns = _columns(scores, [str(run) for run in runs])
    rows = []
    for reduction in reductions:
        for name in statistics:
            values = np.array([table.filter(reduction=reduction)[name].item() for table in last])
            for (task, metric), of in columns.items():
                rows.append(
                    {
                        "reduction": reduction,
                        "statistic": name,
                        "task": task,
                        "metric": metric,
                        **_correlation(values, of, label, level),
                    }
                )
    kinds = dict.fromkeys(("spearman", "low", "high", "within_arms"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)


class _Metric(TypedDict):
    name: str
    value: float | None
    higher_is_better: bool


class _Task(TypedDict):
    task: str
    primary: str
    entries: int
    metrics: list[_Metric]


class _Scores(TypedDict):
    """The part of result.json that is read here."""

    decided_by: dict[str, Any]
    tasks: list[_Task]


def _available(run: Path) -> set[str]:
    found = {path.parent.name for path in run.glob("evaluation/*/result.json")}
    return found | ({OWN} if (run / OWN).is_file() else set())


def _own(run: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return an identifier of the scored entries, and the scores."""
    table = read_parquet(run / OWN).sort("entry_id")
    rows = [
        {
            "task": task,
            "metric": f"mean {get_task(task).primary.name}",
            "higher_is_better": get_task(task).primary.higher_is_better,
            "entries": of.height,
            "score": float(of["score"].fill_nan(None).mean()),  # type: ignore[arg-type]
        }
        for (task,), of in sorted(table.group_by("task"), key=lambda item: str(item[0]))
        if of["score"].fill_nan(None).count()
    ]
    return repr(table["entry_id"].to_list()), rows


def _evaluated(run: Path, name: str) -> tuple[str, list[dict[str, Any]]]:
    data = read_state(
        run / "evaluation" / name / "result.json",
        _Scores,
        advice=f"evaluate {run} again",
    )
    asked = data["decided_by"]["dataset"]
    rows = []
    for task in data["tasks"]:
        metric = next(m for m in task["metrics"] if m["name"] == task["primary"])
        if metric["value"] is not None:
            rows.append(
                {
                    "task": task["task"],
                    "metric": task["primary"],
                    "higher_is_better": metric["higher_is_better"],
                    "entries": task["entries"],
                    "score": float(metric["value"]),
                }
            )
    return f"{asked['sha256']} {asked['split']}", rows


def _last(folders: Sequence[Path], group: str) -> list[pl.DataFrame]:
    """Return each run's statistics at its last measurement; all must be of the same probe."""
    tables, ids = [], []
    for folder in folders:
        files = recorded(folder)
        ids.append(read_parquet(files[max(files)], columns=["entry_id"])["entry_id"].to_list())
        table = read_parquet(probe_folder(folder) / "spectra.parquet")
        groups = table["group"].unique().sort().to_list()
        require_known(group, groups, "a module group")
        tables.append(table.filter(pl.col("entries_seen") == max(files), group=group))
    if any(other != ids[0] for other in ids):
        raise ImaxrayError(
            "Expected all runs to be measured on the same entries, but they differ; measure them "
            "on one probe with --data."
        )
    return tables


def _columns(scores: pl.DataFrame, runs: Sequence[str]) -> Mapping[tuple[str, str | None], Floats]:
    """Map (task, metric) and the mean to each run's score (higher is better, NaN if missing)."""
    found: dict[tuple[str, str | None], Floats] = {}
    relative = []
    for (task, metric, up), part in sorted(
        scores.group_by("task", "metric", "higher_is_better"), key=lambda item: str(item[0])
    ):
        of = dict(part.select("run", "score").iter_rows())
        values = np.array([of.get(run, np.nan) for run in runs], dtype=np.float64)
        found[str(task), str(metric)] = values if up else -values
        mean = values.mean()
        if np.isfinite(mean) and abs(mean) >= _TINY:
            relative.append((values - mean) / abs(mean) * (1 if up else -1))
    if relative:
        found[MEAN, None] = np.mean(relative, axis=0)
    return found


def _correlation(
    values: Floats, scores: Floats, label: NDArray[Any], level: float
) -> dict[str, Any]:
    both = np.isfinite(values) & np.isfinite(scores)
    x, y, arm = values[both], scores[both], label[both]
    n, r = len(x), _spearman(x, y)
    low = high = within = None
    if r is not None and n >= 4 and abs(r) < 1:
        error = ((1 + r**2 / 2) / (n - 3)) ** 0.5
        half = float(stats.norm.ppf((1 + level) / 2)) * error
        low, high = (float(np.tanh(np.arctanh(r) + side * half)) for side in (-1, 1))
    names, code, sizes = np.unique(arm, return_inverse=True, return_counts=True)
    if len(names) > 1 and sizes.min() > 1:
        x, y = (of - np.bincount(code, of)[code] / sizes[code] for of in (x, y))
        within = _spearman(x, y)
    return {"runs": n, "spearman": r, "low": low, "high": high, "within_arms": within}


def _spearman(x: Floats, y: Floats) -> float | None:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    found = np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]
    return float(np.clip(np.round(found, 12), -1, 1))  # rounding makes a perfect order exactly 1
