"""Compares arms on one test set by effects with confidence intervals, and by p-values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaxray._common.defaults import RESAMPLES
from imaxray._common.names import require_known
from imaxray.errors import ImaxrayError
from imaxray.evaluation.comparing.comparison import Comparison, ComparisonData, TaskComparison
from imaxray.evaluation.comparing.power import power_of
from imaxray.evaluation.comparing.resampling import (
    finite,
    holm,
    interval,
    over_seeds,
    patient_draws,
    patient_sums,
    permutation_p,
)
from imaxray.evaluation.scoring import Scores, point, restrict
from imaxray.metrics import INVALID, Floats, Median, Metric
from imaxray.schema import task_names
from imaxray.tasks import get_task

Arm = Scores | Sequence[Scores]
"""Scores of one training run, or of several training runs that differ in their seed."""

_TINY = 1e-3
"""A relative gain needs a reference value whose magnitude is at least this."""


def compare(
    arms: Mapping[str, Arm],
    *,
    reference: str,
    constant: Scores | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    permutations: int | None = None,
    level: float = 0.95,
    metric: str | None = None,
) -> Comparison:
    """Compare ``arms`` with the ``reference`` arm by a paired bootstrap over patients.

    Every resample draws patients with replacement; all arms and tasks share the drawn patients. The
    value of an arm with several seeds is the mean over its seeds, and every resample draws its
    seeds as well. The relative gain on a task is (arm - reference) / |reference| in the metric's
    direction (the formula of LibMTL). If the reference is near zero, the gain is undefined, and the
    mean gain leaves the task out. The p-values come from
    :func:`~imaxray.evaluation.comparing.resampling.permutation_p` and are corrected over the tasks
    by Holm.

    Args:
        arms: Arm → its scores, or the sequence of the scores of its seeds. All scores must be on
            the same entries.
        reference: Name of the arm that gains are relative to.
        constant: Scores of the constant baseline.
        seed: Seed of the resampling and of the permutations.
        resamples: Number of bootstrap resamples.
        permutations: Number of permutations of the test; default: ``resamples``.
        level: Confidence level of the percentile intervals.
        metric: Name of the metric to compare; tasks without it are left out. Default: the primary
            metric of each task.

    Raises:
        ImaxrayError: If the reference is unknown, an arm has no scores, the arms were scored on
            different entries, or no task has the metric.
    """
    contest = _Contest.of(
        arms, reference, seed, resamples, resamples if permutations is None else permutations,
        level, metric,
    )  # fmt: skip
    tasks = contest.tasks()
    rows: list[TaskComparison] = []
    gains: dict[str, list[Floats]] = {arm: [] for arm in contest.others}
    of_patients: dict[str, list[Floats]] = {arm: [] for arm in contest.others}
    for task in tasks:
        row, of_task = contest.compare_task(task, constant)
        rows.append(row)
        for arm, gain in of_task.items():
            gains[arm].append(gain)
            of_patients[arm].append(contest.gain_over_patients(task, arm))
    for arm in contest.others:
        adjusted = holm({row["task"]: row["p"][arm] for row in rows})
        for row in rows:
            row["p_holm"][arm] = adjusted[row["task"]]
    draws = {arm: np.mean(values, axis=0) for arm, values in gains.items() if values}
    data: ComparisonData = {
        "reference": reference,
        "arms": list(contest.seeds),
        "seeds": {arm: len(scores) for arm, scores in contest.seeds.items()},
        "level": level,
        "resamples": resamples,
        "permutations": contest.permutations,
        "patients": len(contest.number),
        "tasks": rows,
        "mean_gain": {arm: interval(draws[arm], level) if arm in draws else None for arm in gains},
    }
    powers = {
        arm: power_of(
            drawn, np.mean(of_patients[arm], axis=0),
            min(len(contest.seeds[arm]), len(contest.seeds[reference])), level,
        )
        for arm, drawn in draws.items()
    }  # fmt: skip
    return Comparison(finite(data), draws, powers)


@dataclass(frozen=True)
class _Contest:
    """Holds the arms of a comparison and the resamples that all tasks share.

    Attributes:
        seeds: Arm → scores of each of its training runs.
        number: Patient → column of ``weights``.
        weights: How often each resample draws each patient, (1 + resamples, patients); row 0 is
            the data itself, with every patient once.
    """

    seeds: Mapping[str, Sequence[Scores]]
    reference: str
    number: Mapping[str, int]
    weights: Floats
    seed: int
    permutations: int
    level: float
    metric: str | None

    @classmethod
    def of(
        cls,
        arms: Mapping[str, Arm],
        reference: str,
        seed: int,
        resamples: int,
        permutations: int,
        level: float,
        metric: str | None,
    ) -> _Contest:
        seeds = {name: _seeds(name, arm) for name, arm in arms.items()}
        require_known(reference, seeds, "an arm as reference")
        _require_same_entries(seeds, reference)
        patients = sorted({p for t in seeds[reference][0].tasks.values() for p in t.patients})
        number = {patient: index for index, patient in enumerate(patients)}
        weights = patient_draws(len(patients), resamples, seed)
        return cls(seeds, reference, number, weights, seed, permutations, level, metric)

    @property
    def others(self) -> list[str]:
        """All arms except the reference."""
        return [arm for arm in self.seeds if arm != self.reference]

    def tasks(self) -> list[str]:
        """Return the tasks that are compared, in the order of the schema.

        Raises:
            ImaxrayError: If no task has the metric, or no value of it is better than another.
        """
        scored = self.seeds[self.reference][0].tasks
        tasks = [task for task in task_names() if task in scored]
        if self.metric is None:
            return tasks
        known = {task: self._shared(task) for task in tasks}
        found = [task for task in tasks if self.metric in known[task]]
        if not found:
            names = dict.fromkeys(name for of_task in known.values() for name in of_task)
            require_known(self.metric, names, "a metric that all arms have")
        for task in found:
            metric = get_task(task).metric(self.metric)
            if metric.best not in (metric.low, metric.high):
                raise ImaxrayError(
                    f"Expected a metric whose smaller or greater values are better, but "
                    f"{self.metric} of {task} is best at {metric.best:g}; name another metric."
                )
        return found

    def _compared_metric(self, name: str) -> Metric:
        task = get_task(name)
        return task.primary if self.metric is None else task.metric(self.metric)

    def compare_task(
        self, name: str, constant: Scores | None
    ) -> tuple[TaskComparison, dict[str, Floats]]:
        """Compare all arms on one task.

        Returns:
            The comparison without ``p_holm``, and the relative gains by resample, (1 + resamples,),
            of the arms whose gain is defined.
        """
        base, primary = self.seeds[self.reference][0].tasks[name], self._compared_metric(name)
        group = np.array([self.number[p] for p in base.patients], dtype=np.intp)
        values = {arm: self._resampled(arm, name, primary, group) for arm in self.seeds}
        reference = values[self.reference]
        gains = {arm: _gain(values[arm], reference, primary) for arm in self.others}
        row: TaskComparison = {
            "task": name,
            "metric": primary.name,
            "unit": primary.unit,
            "higher_is_better": primary.higher_is_better,
            "entries": len(base.entry_ids),
            "patients": len(set(base.patients)),
            "constant": _constant(constant, name, primary),
            "arms": {
                arm: {**interval(drawn, self.level), "invalid": _invalid(self.seeds[arm], name)}
                for arm, drawn in values.items()
            },
            "differences": {
                arm: interval(values[arm] - reference, self.level) for arm in self.others
            },
            "gains": {
                arm: None if gain is None else interval(gain, self.level)
                for arm, gain in gains.items()
            },
            "p": {arm: self._p_value(arm, name, primary, group) for arm in self.others},
            "p_holm": {},  # filled later, because the correction needs all tasks
            "others": {
                metric.name: {
                    arm: interval(self._resampled(arm, name, metric, group), self.level)
                    for arm in self.seeds
                }
                for metric in self._shared_metrics(name, primary)
            },
        }
        return row, {arm: gain for arm, gain in gains.items() if gain is not None}

    def gain_over_patients(self, name: str, arm: str) -> Floats:
        """Return the relative gains of an arm whose gain is defined, for exactly these trainings.

        Returns:
            The gain on the data and on each resample of patients alone, (1 + resamples,).
        """
        primary = self._compared_metric(name)
        base = self.seeds[self.reference][0].tasks[name]
        group = np.array([self.number[p] for p in base.patients], dtype=np.intp)
        own, other = (
            np.mean(
                [
                    primary.resampled(s.tasks[name].statistics[primary.name], group, self.weights)
                    for s in self.seeds[one]
                ],
                axis=0,
            )
            for one in (arm, self.reference)
        )
        gain = _gain(own, other, primary)
        return np.zeros_like(own) if gain is None else gain

    def _shared_metrics(self, name: str, primary: Metric) -> list[Metric]:
        """The other metrics of a task that every training of every arm has."""
        return [
            get_task(name).metric(metric) for metric in self._shared(name) if metric != primary.name
        ]

    def _shared(self, name: str) -> list[str]:
        """Return the names of the metrics of a task that every training of every arm has."""
        return [
            metric
            for metric in self.seeds[self.reference][0].tasks[name].statistics
            if all(metric in s.tasks[name].statistics for arm in self.seeds.values() for s in arm)
        ]

    def _resampled(self, arm: str, name: str, metric: Metric, group: NDArray[np.intp]) -> Floats:
        """Return a metric of an arm, mean over its seeds, (1 + resamples,); row 0 is the data."""
        each = [s.tasks[name].statistics[metric.name] for s in self.seeds[arm]]
        values = np.stack([metric.resampled(m, group, self.weights) for m in each])
        stream = [self.seed, 1, list(self.seeds).index(arm)]
        return over_seeds(values, np.random.default_rng(stream))

    def _p_value(self, arm: str, name: str, metric: Metric, group: NDArray[np.intp]) -> float:
        """Return the p-value of the difference between an arm and the reference.

        It is ``nan`` for a median, which is no function of sums over patients.
        """
        if isinstance(metric, Median):
            return float("nan")
        sums = [
            patient_sums(
                [s.tasks[name].statistics[metric.name] for s in self.seeds[one]],
                group,
                len(self.number),
            )
            for one in (arm, self.reference)
        ]
        return permutation_p(
            metric,
            *sums,
            permutations=self.permutations,
            random=np.random.default_rng([self.seed, 2]),
        )


def compare_groups(
    arms: Mapping[str, Arm],
    groups: Mapping[str, Mapping[str, Collection[str]]],
    *,
    reference: str,
    constant: Scores | None = None,
    **options: Any,
) -> dict[str, dict[str, Comparison]]:
    """Compare the arms within each subgroup of entries.

    Args:
        arms: Scores of the arms, as in :func:`compare`.
        groups: Property (view, sex …) → value of the property → entry ids, as returned by
            :func:`imaxray.evaluation.subgroups`.
        reference: Name of the arm that gains are relative to.
        constant: Scores of the constant baseline on all entries.
        **options: Further options of :func:`compare`.

    Returns:
        Property → value → comparison; values without a scored entry are absent. The p-values are
        corrected within each subgroup only, not for the number of subgroups.
    """
    result: dict[str, dict[str, Comparison]] = {}
    for prop, values in groups.items():
        for value, ids in values.items():
            part = {
                name: [restrict(s, ids) for s in _seeds(name, arm)] for name, arm in arms.items()
            }
            if part[reference][0].tasks:
                of_part = None if constant is None else restrict(constant, ids)
                compared = compare(part, reference=reference, constant=of_part, **options)
                result.setdefault(prop, {})[value] = compared
    return result


def _seeds(name: str, arm: Arm) -> list[Scores]:
    seeds = [arm] if isinstance(arm, Scores) else list(arm)
    if not seeds:
        raise ImaxrayError(f"Expected the scores of at least one seed of arm {name}, but got none.")
    return seeds


def _constant(constant: Scores | None, task: str, metric: Metric) -> float | None:
    """Return the metric of the constant baseline; ``None`` if it was not computed for it."""
    if constant is None or metric.name not in constant.tasks[task].statistics:
        return None
    return point(constant.tasks[task], metric)


def _require_same_entries(arms: Mapping[str, Sequence[Scores]], reference: str) -> None:
    wanted = _entries(arms[reference][0])
    for arm, seeds in arms.items():
        for scores in seeds:
            if _entries(scores) != wanted:
                raise ImaxrayError(unequal_entries(reference, wanted, arm, _entries(scores)))


def _entries(scores: Scores) -> set[str]:
    return {entry for of_task in scores.tasks.values() for entry in of_task.entry_ids}


def unequal_entries(one: str, ids: Collection[str], other: str, others: Collection[str]) -> str:
    """Say in one sentence how the entries of two arms differ.

    Example:
        >>> unequal_entries("dmax", {"a", "b"}, "imax", {"b"})  # doctest: +ELLIPSIS
        'Expected the arms dmax and imax to be scored on the same entries, but 1 only by dmax ...'
    """
    only = [
        f"{len(ids):,} only by {name} (first: {min(ids)})"
        for name, ids in ((one, set(ids) - set(others)), (other, set(others) - set(ids)))
        if ids
    ]
    verb = "was" if len(only) == 1 and only[0].startswith("1 ") else "were"
    return (
        f"Expected the arms {one} and {other} to be scored on the same entries, but "
        f"{' and '.join(only)} {verb}; evaluate both on one test set."
    )


def _gain(values: Floats, base: Floats, metric: Metric) -> Floats | None:
    """Return the relative gain on the data and on each resample, (1 + resamples,).

    The result is ``None`` if the reference is near zero on the data. A resample in which the
    reference is near zero gets ``nan``, and the interval leaves it out.
    """
    if not abs(base[0]) >= _TINY:
        return None
    sign = 1.0 if metric.higher_is_better else -1.0
    usable = np.abs(base) >= _TINY
    bottom = np.where(usable, np.abs(base), 1.0)
    return np.where(usable, sign * (values - base) / bottom, np.nan)


def _invalid(seeds: Sequence[Scores], task: str) -> float:
    metric = get_task(task).metric(INVALID)
    return float(np.mean([point(scores.tasks[task], metric) for scores in seeds]))
