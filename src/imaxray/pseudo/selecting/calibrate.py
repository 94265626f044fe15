"""Sets a confidence threshold per task so that answers above it have the requested precision.

The model's answers to the real validation entries show which confidence is needed for right
answers. Thresholds are tried from the strictest to the most lenient. Each threshold tests the
hypothesis "the precision above it is less than requested" by the exact binomial (Clopper-Pearson)
tail. To test many thresholds and keep the best would exceed the level of the test, so the
thresholds share the level by the fallback procedure (Wiens 2003): each has an equal share, and a
rejected hypothesis passes its level on to the next one. This is Learn-then-Test (Angelopoulos et
al. 2021) with a fixed sequence that a single confident mistake at the strictest threshold does not
end. Answers about one patient are correlated, so counts are divided by a design effect (Kish 1965).

With probability at least ``1 - risk`` over the draw of the validation patients, the precision of
new answers above the threshold is then at least the requested one, provided that the prompts for
them are like those of the validation entries.
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

_GROWTH: Final = 2**0.25  # factor by which each threshold accepts more answers than the last
_FEWEST: Final = 10  # minimum number of answers for an observed precision
_LOGIT_EDGE: Final = 1e-6

CONFIDENCE: Final = pl.coalesce(
    "score", pl.col("logprob").exp() * pl.col("agreement").fill_null(1.0)
)
"""Confidence in [0, 1]: the geometric mean probability of the generated tokens, multiplied by the
share of samples that agree, if there are samples. It has no fitted parameters, so calibration on
the validation split uses those answers only once. An answer that is judged by its visual advantage
has that as score instead. A fused answer has a score which is fitted on other validation patients
than those whose answers it is compared with."""


@dataclass(frozen=True)
class TaskThreshold:
    """The result of calibration for one task.

    Attributes:
        threshold: Minimum confidence of kept answers; ``None`` if the task cannot reach the
            precision.
        judged: Number of calibration answers for which the gold answer decides whether they are
            right.
        right: Number of judged answers that are right.
        passing: Number of judged answers at or above the threshold; 0 without a threshold.
        precision: Share of right answers among the passing ones; ``None`` without a threshold.
        low: Lower bound of the precision at the level of the test; ``None`` without a threshold or
            without a ``risk``.
        best: Highest lower bound that any threshold reaches; without a ``risk``, the highest
            observed precision.
        best_precision: Observed precision at the threshold of ``best``.
        best_passing: Number of answers at or above the threshold of ``best``.
        design_effect: Factor by which more answers are needed than if all were independent.
        slope: Slope of P(right) = 1 / (1 + exp(-(slope · log confidence + intercept))).
        intercept: Intercept of the same curve.
        says: Sentence that describes the result.
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
    """The thresholds of all calibrated tasks.

    Attributes:
        precision: Requested precision.
        risk: Accepted probability that the precision of a task is lower; ``None`` if no bound was
            requested.
        tasks: Task → result of its calibration.
        samples: Whether confidence includes the agreement of samples.
    """

    precision: float
    risk: float | None
    tasks: Mapping[str, TaskThreshold]
    samples: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the thresholds in a form that JSON can hold."""
        return asdict(self)

    def strengths(self, candidates: pl.DataFrame) -> pl.Series:
        """Return the estimated probability that each candidate is right (float64, in [0, 1]).

        The estimates of different tasks can be compared. For a task that was not calibrated, the
        confidence itself is returned.
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
    """Set the confidence threshold of each task.

    Args:
        calibration: Answers of the model to validation entries (schema PSEUDO); ``pseudo_id`` is
            the ``entry_id``.
        entries: Entries (schema ENTRIES), including these validation entries.
        precision: Requested share of right answers among the kept ones, in (0, 1).
        risk: Accepted probability, per task, that the precision is lower, in (0, 1); ``None`` takes
            the lowest threshold whose observed precision suffices, which is optimistic.
        tolerances: Tolerances within which an answer is right.

    Raises:
        ImaxrayError: The entries are missing or are not of the validation split, only some answers
            have samples, or the precision or risk is out of range.
    """
    for name, share in (("precision", precision), ("risk", risk)):
        if share is not None and not 0 < share < 1:
            raise ImaxrayError(
                f"Expected a {name} between 0 and 1, but got {share:g}; give e.g. 0.9 or 0.1."
            )
    asked = calibration.join(
        entries.select("entry_id", "split", pl.col("answer").alias("gold")),
        left_on="pseudo_id", right_on="entry_id", how="inner", maintain_order="left",
    )  # fmt: skip
    if asked.is_empty() or asked.height < calibration.height:
        raise ImaxrayError(
            f"Expected {calibration.height} answers to entries of the dataset, but only "
            f"{asked.height} are; pass the dataset that was annotated."
        )
    if others := sorted(set(asked["split"]) - {"val"}):
        raise ImaxrayError(
            f"Expected answers to val entries only, but got answers to {', '.join(others)} "
            "entries; leave these out."
        )
    # confidence with and without samples cannot be compared
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
    # answers that are unreadable or were cut off are dropped before their confidence is used
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
    """Return how many answers each threshold accepts, the strictest first; ties stay together."""
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
    # a step that is too small to pass even if all answers are right would waste its share
    while risk is not None and len(steps) > 1 and wanted ** steps[0] > risk / len(steps):
        steps = steps[1:]
    return steps


def _lowest(
    counts: list[tuple[float, float]], wanted: float, risk: float
) -> tuple[int | None, float]:
    """Return the last step whose hypothesis is rejected, and its level (fallback procedure)."""
    chosen, at, carried = None, 0.0, 0.0
    for k, (right, total) in enumerate(counts):
        level = carried + risk / len(counts)
        if lower_bound(right, total, level) >= wanted:
            chosen, at, carried = k, level, level
        else:
            carried = 0.0
    return chosen, at


def lower_bound(right: float, total: float, level: float) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a precision.

    Args:
        right: Number of right answers; it need not be an integer, because it may be an effective
            number.
        total: Number of answers, which need not be an integer either.
        level: Maximum probability that the true precision is lower than the bound.
    """
    return 0.0 if right <= 0 else float(beta.ppf(level, right, total - right + 1))


def intraclass(right: Floats, patients: pl.Series) -> float:
    """Return the intraclass correlation of right answers per patient (ANOVA estimator)."""
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
    """Return Kish's design effect, which is above 1 if patients have several correlated answers."""
    sizes = np.unique(np.array(patients, dtype=str), return_counts=True)[1]
    return float(max(1.0, 1 + ((sizes**2).sum() / sizes.sum() - 1) * icc))


def _sigmoid(confidence: Floats, right: Floats) -> tuple[float, float]:
    """Fit a non-decreasing logistic curve of log confidence (Platt 1999), used for comparisons."""
    rate = (right.sum() + 1) / (len(right) + 2)
    flat = (0.0, float(np.log(rate / (1 - rate))))
    if len(right) < _FEWEST or right.min() == right.max():
        return flat
    from sklearn.linear_model import LogisticRegression  # late, as it is slow to import

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
