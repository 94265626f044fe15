"""Confidence thresholds per task, set so that the answers above them are as precise as asked.

The model's answers to the real validation entries tell which confidence goes with being right.
Candidate thresholds are tried from the strictest down; each tests the hypothesis "the precision
above it is less than asked" by the exact binomial (Clopper-Pearson) tail. Testing many thresholds
and keeping the best would break the level, so they share it by the fallback procedure (Wiens 2003):
a share each, and a rejected hypothesis hands its share on to the next. That is Learn-then-Test
(Angelopoulos et al. 2021) with a fixed sequence that one confident mistake at the very top does not
end. Answers of one patient are alike, so counts are divided by a design effect (Kish 1965).

Then, with probability at least ``1 - risk`` over the draw of the validation patients, the precision
of new answers above the threshold is at least the one asked for, as long as these are asked like
the validation entries were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import beta

from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances, correct
from imaxray.schema import task_names

Floats = NDArray[np.float64]

_GROWTH: Final = 2**0.25  # each threshold lets so many times the answers of the last one through
_FEWEST: Final = 10  # answers that a precision without a bound is read from
_LOGIT_EDGE: Final = 1e-6

CONFIDENCE: Final = pl.col("logprob").exp() * pl.col("agreement").fill_null(1.0)
"""In [0, 1]: the mean probability of the written tokens (geometric), times the share of samples
that agree where there are any. It grows with both, and nothing in it is fitted, so calibrating it
on the validation split spends those answers only once."""


@dataclass(frozen=True)
class TaskThreshold:
    """What calibration found for one task.

    Attributes:
        threshold: least confidence that is kept; ``None``: the task cannot reach the precision.
        judged: calibration answers whose gold decides whether they are right.
        right: of them.
        passing: at or above the threshold.
        precision: of the passing ones; ``None`` without a threshold.
        low: its lower bound at the level of the test; ``None`` likewise.
        best: greatest lower bound that any threshold reaches (without a ``risk``: precision).
        best_precision: observed there.
        best_passing: answers there.
        design_effect: how many times more answers weigh than independent ones would need.
        slope: with ``intercept``: P(right) = 1 / (1 + exp(-(slope · log confidence + intercept))).
        intercept: see ``slope``.
        says: the outcome in words.
    """

    threshold: float | None
    judged: int
    right: int
    passing: int
    precision: float | None
    low: float | None
    best: float
    best_precision: float
    best_passing: int
    design_effect: float
    slope: float
    intercept: float
    says: str


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of all calibrated tasks.

    Attributes:
        precision: asked for.
        risk: allowed probability that a task's precision is less; ``None``: no bound was asked.
        tasks: task → what was found.
        samples: whether confidence includes the agreement of samples.
    """

    precision: float
    risk: float | None
    tasks: Mapping[str, TaskThreshold]
    samples: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    def strengths(self, candidates: pl.DataFrame) -> pl.Series:
        """Estimated probability that each candidate is right, comparable between tasks.

        For a task that was not calibrated it is the confidence itself.
        """
        confidence = candidates.select(CONFIDENCE.alias("_")).to_series().to_numpy()
        strengths = confidence.copy()
        tasks = candidates["task"].to_numpy()
        for task, found in self.tasks.items():
            at = tasks == task
            logs = np.log(np.clip(confidence[at], _LOGIT_EDGE, 1.0))
            strengths[at] = 1 / (1 + np.exp(-(found.slope * logs + found.intercept)))
        return pl.Series("strength", strengths, dtype=pl.Float64)


def calibrate(
    calibration: pl.DataFrame,
    entries: pl.DataFrame,
    precision: float = 0.9,
    *,
    risk: float | None = 0.1,
    tolerances: Tolerances = DEFAULT,
) -> Thresholds:
    """Set the thresholds.

    Args:
        calibration: schema PSEUDO, the model's answers to validation entries; ``pseudo_id`` is the
            ``entry_id``.
        entries: schema ENTRIES; has those entries.
        precision: share of right answers wanted among the kept ones, in (0, 1).
        risk: probability, per task, that the precision may be less after all; ``None``: take the
            lowest threshold with the observed precision, which is optimistic.
        tolerances: when an answer is right.

    Raises:
        ImaxrayError: no such entries, or some are not of the validation split; a precision or risk
            out of range.
    """
    for name, share in (("precision", precision), ("risk", risk)):
        if share is not None and not 0 < share < 1:
            raise ImaxrayError(
                f"Expected a {name} between 0 and 1, but got {share:g}; for example 0.9 or 0.1."
            )
    asked = calibration.join(
        entries.select("entry_id", "split", pl.col("answer").alias("gold")),
        left_on="pseudo_id", right_on="entry_id", how="inner", maintain_order="left",
    )  # fmt: skip
    if asked.is_empty() or asked.height < calibration.height:
        raise ImaxrayError(
            f"Expected the answers to {calibration.height} validation entries, but {asked.height} "
            "of them are entries of the dataset; annotate with that dataset."
        )
    if others := sorted(set(asked["split"]) - {"val"}):
        raise ImaxrayError(
            f"Expected calibration on the val split alone, but got answers to {', '.join(others)} "
            "entries; leave them out."
        )
    # a mixture would compare two different confidences
    counts = asked["agreement"].is_null().sum()
    if counts not in (0, asked.height):
        raise ImaxrayError(
            f"Expected agreement of samples for all answers or for none, but {counts} of "
            f"{asked.height} have none; annotate again with the same number of samples."
        )
    found: dict[str, TaskThreshold] = {}
    for task in task_names():
        rows = asked.filter(pl.col("task") == task).with_columns(CONFIDENCE.alias("confidence"))
        if rows.height:
            found[task] = _of_task(task, rows, precision, risk, tolerances)
    return Thresholds(precision, risk, found, samples=counts == 0)


def _of_task(
    task: str, rows: pl.DataFrame, wanted: float, risk: float | None, tolerances: Tolerances
) -> TaskThreshold:
    # an answer that cannot be read, or was cut off, is dropped before confidence is asked
    usable = rows.filter(pl.col("answer").is_not_null() & pl.col("ended"))
    columns = usable.select("answer", "gold", "template").iter_rows()
    marks = [correct(task, answer, gold, form, tolerances) for answer, gold, form in columns]
    judged = usable.with_columns(pl.Series("right", marks, dtype=pl.Boolean)).filter(
        pl.col("right").is_not_null()
    )
    judged = judged.sort("confidence", "pseudo_id", descending=[True, False])
    right = judged["right"].to_numpy().astype(np.float64)
    confidence = judged["confidence"].to_numpy()
    icc = intraclass(right, judged["patient_id"])
    steps = _steps(confidence, wanted, risk)
    patients = judged["patient_id"].to_list()
    effects = [design_effect(patients[:n], icc) for n in steps]
    slope, intercept = _sigmoid(confidence, right)
    hits = [float(right[:n].sum()) for n in steps]
    observed = [hit / n for hit, n in zip(hits, steps, strict=True)]
    chosen: int | None
    if risk is None:
        level, scores = 0.0, observed
        chosen = max((k for k, p in enumerate(observed) if p >= wanted), default=None)
    else:
        counts = [(hit / d, n / d) for hit, n, d in zip(hits, steps, effects, strict=True)]
        scores = [lower_bound(hit, n, risk / len(steps)) for hit, n in counts]
        chosen, level = _lowest(counts, wanted, risk)
    top = int(np.argmax(scores)) if steps else -1
    best, best_precision, best_passing = (
        (scores[top], observed[top], steps[top]) if steps else (0.0, 0.0, 0)
    )
    if chosen is None:
        says = _unreached(task, len(right), wanted, risk, best, best_precision, best_passing)
        return TaskThreshold(
            None, len(right), int(right.sum()), 0, None, None, best, best_precision, best_passing,
            1.0 if not effects else effects[-1], slope, intercept, says,
        )  # fmt: skip
    n = steps[chosen]
    d = effects[chosen]
    low = None if risk is None else lower_bound(hits[chosen] / d, n / d, level)
    bound = "" if low is None else f", at least {low:.3f} with {1 - (risk or 0):.0%} certainty"
    says = (
        f"{task}: confidence from {confidence[n - 1]:.4f} up; {observed[chosen]:.3f} of {n} "
        f"validation answers there are right{bound}."
    )
    return TaskThreshold(
        float(confidence[n - 1]), len(right), int(right.sum()), n, observed[chosen], low, best,
        best_precision, best_passing, effects[chosen], slope, intercept, says,
    )  # fmt: skip


def _steps(confidence: Floats, wanted: float, risk: float | None) -> list[int]:
    """Numbers of answers that the thresholds let through, the strictest first; ties go together."""
    total = len(confidence)
    first = _FEWEST if risk is None else math.ceil(math.log(risk) / math.log(wanted))
    steps: list[int] = []
    size = float(first)
    while total >= first:
        n = min(round(size), total)
        while n < total and confidence[n] == confidence[n - 1]:
            n += 1
        if not steps or n > steps[-1]:
            steps.append(n)
        if n == total:
            break
        size = max(size * _GROWTH, n + 1)
    # a step so small that it could not pass with all answers right would waste its share
    while risk is not None and len(steps) > 1 and wanted ** steps[0] > risk / len(steps):
        steps = steps[1:]
    return steps


def _lowest(
    counts: list[tuple[float, float]], wanted: float, risk: float
) -> tuple[int | None, float]:
    """The fallback procedure: the last step whose hypothesis is rejected, and at which level."""
    chosen, at, carried = None, 0.0, 0.0
    for k, (right, total) in enumerate(counts):
        level = carried + risk / len(counts)
        if lower_bound(right, total, level) >= wanted:
            chosen, at, carried = k, level, level
        else:
            carried = 0.0
    return chosen, at


def lower_bound(right: float, total: float, level: float) -> float:
    """One-sided Clopper-Pearson bound: the precision is less with probability ``level`` at most.

    Counts need not be whole: effective numbers of answers are not.
    """
    return 0.0 if right <= 0 else float(beta.ppf(level, right, total - right + 1))


def intraclass(right: Floats, patients: pl.Series) -> float:
    """Correlation of being right between answers of one patient, at least 0 (ANOVA estimator)."""
    groups: dict[str, list[float]] = {}
    for patient, value in zip(patients, right, strict=True):
        groups.setdefault(patient, []).append(float(value))
    k, n = len(groups), len(right)
    if k < 2 or n <= k:
        return 0.0
    mean = right.mean()
    between = sum(len(g) * (np.mean(g) - mean) ** 2 for g in groups.values()) / (k - 1)
    within = sum(((np.array(g) - np.mean(g)) ** 2).sum() for g in groups.values()) / (n - k)
    size = (n - sum(len(g) ** 2 for g in groups.values()) / n) / (k - 1)
    spread = between + (size - 1) * within
    return float(min(1.0, max(0.0, (between - within) / spread))) if spread > 0 else 0.0


def design_effect(patients: list[str], icc: float) -> float:
    """Kish's: how many times more answers are needed because patients give several."""
    sizes = np.unique(np.array(patients, dtype=str), return_counts=True)[1]
    return float(max(1.0, 1 + ((sizes**2).sum() / sizes.sum() - 1) * icc))


def _sigmoid(confidence: Floats, right: Floats) -> tuple[float, float]:
    """Logistic curve of log confidence (Platt 1999), never falling; only ever used to compare."""
    rate = (right.sum() + 1) / (len(right) + 2)
    flat = (0.0, float(np.log(rate / (1 - rate))))
    if len(right) < _FEWEST or right.min() == right.max():
        return flat
    from sklearn.linear_model import LogisticRegression  # late: it is slow to import

    logs = np.log(np.clip(confidence, _LOGIT_EDGE, 1.0)).reshape(-1, 1)
    model = LogisticRegression(C=1.0).fit(logs, right)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    return (slope, intercept) if slope > 0 else flat


def _unreached(
    task: str, judged: int, wanted: float, risk: float | None, best: float, seen: float, n: int
) -> str:
    if n == 0:
        return (
            f"{task}: {judged} validation answers are too few to show a precision of {wanted:g}; "
            "nothing of it is kept."
        )
    bound = "" if risk is None else f", at least {best:.3f} with {1 - risk:.0%} certainty"
    return (
        f"{task}: a precision of {wanted:g} is out of reach, so nothing of it is kept; the best is "
        f"{seen:.3f} of {n} validation answers{bound}."
    )
