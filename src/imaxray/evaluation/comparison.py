"""Arms against each other on one test set: effects with intervals first, p-values after them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from imaxray.errors import ImaxrayError
from imaxray.evaluation.resampling import (
    finite,
    holm,
    interval,
    over_seeds,
    patient_draws,
    patient_sums,
    permutation_p,
)
from imaxray.evaluation.scoring import Scores, point, restrict
from imaxray.metrics import Floats, Metric
from imaxray.schema import task_names
from imaxray.tasks import get_task

Arm = Scores | Sequence[Scores]
"""Scores of one training, or of several seeds of it."""

_TINY = 1e-3
"""A reference value nearer to zero than this gives no relative gain."""


@dataclass(frozen=True)
class Comparison:
    """Every number of a comparison, JSON-able (``None`` where there was nothing to measure).

    ``as_dict`` has: reference, level, resamples, permutations, seeds per arm; ``tasks``: per task
    metric, direction, entries, patients, the constant baseline, per arm value with interval and
    invalid rate, per other arm the difference to the reference and the relative gain with
    intervals, ``p`` (raw) and ``p_holm`` (over the tasks) of the difference, and the other metrics;
    ``mean_gain`` per arm. Gains are fractions, positive where the arm is better.
    """

    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The plain dictionary."""
        return dict(self.data)

    def table(self, title: str) -> Table:
        """The comparison as a table for the terminal."""
        arms = list(self.data["arms"])
        others = [arm for arm in arms if arm != self.data["reference"]]
        table = Table(title=title, title_justify="left")
        table.add_column("task")
        table.add_column("metric")
        table.add_column("constant", justify="right")
        for arm in arms:
            table.add_column(arm, justify="right")
        for arm in others:
            table.add_column(f"gain {arm}", justify="right")
            table.add_column("p (Holm)", justify="right")
        for row in self.data["tasks"]:
            arrow = "↑" if row["higher_is_better"] else "↓"
            constant = "–" if row["constant"] is None else f"{row['constant']:.3f}"
            cells = [row["task"], f"{row['metric']} {arrow}", constant]
            cells += [_interval_text(row["arms"][arm]) for arm in arms]
            for arm in others:
                cells += [_percent(row["gains"][arm]), _number(row["p_holm"][arm])]
            table.add_row(*cells)
        means = [cell for arm in others for cell in (_percent(self.data["mean_gain"][arm]), "")]
        table.add_section()
        table.add_row("mean", "relative gain", "", *([""] * len(arms)), *means)
        return table


def compare(
    arms: Mapping[str, Arm],
    *,
    reference: str,
    constant: Scores | None = None,
    seed: int = 0,
    resamples: int = 2000,
    permutations: int | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare ``arms`` with the ``reference`` arm by a paired bootstrap over patients.

    Every resample draws patients with replacement, the same ones for all arms and tasks; of an arm
    of several seeds it draws the seeds too, and values are means over seeds. Relative gain of a
    task: (arm - reference) / |reference| in the metric's direction (LibMTL's formula); where the
    reference is near zero there is none, and the task is left out of the mean. p-values are of
    :func:`imaxray.evaluation.resampling.permutation_p`, corrected over the tasks by Holm.

    Args:
        arms: scores on the same entries; a sequence of scores is one arm's seeds.
        reference: name of the arm that gains are relative to.
        constant: scores of the constant baseline.
        seed: of the resampling.
        resamples: bootstrap draws.
        permutations: of the test; default: as many as resamples.
        level: of the percentile intervals.

    Raises:
        ImaxrayError: unknown reference, an arm without scores, or arms scored on different entries.
    """
    seeds = {name: _seeds(name, arm) for name, arm in arms.items()}
    if reference not in seeds:
        raise ImaxrayError(
            f"Expected one of the arms {', '.join(arms)} as reference, but got {reference}."
        )
    _require_same_entries(seeds, reference)
    tests = resamples if permutations is None else permutations
    base_tasks = seeds[reference][0].tasks
    names = [task for task in task_names() if task in base_tasks]
    patients = sorted({p for t in base_tasks.values() for p in t.patients})
    number = {patient: index for index, patient in enumerate(patients)}
    weights = patient_draws(len(patients), resamples, seed)
    others = [arm for arm in seeds if arm != reference]
    rows = []
    gains: dict[str, list[Floats]] = {arm: [] for arm in others}
    for name in names:
        primary = get_task(name).primary
        group = np.array([number[p] for p in base_tasks[name].patients], dtype=np.intp)

        def drawn(arm: str, metric: Metric, name: str = name, group: Any = group) -> Floats:
            each = [s.tasks[name].statistics[metric.name] for s in seeds[arm]]
            values = np.stack([metric.resampled(m, group, weights) for m in each])
            return over_seeds(values, np.random.default_rng([seed, 1, list(seeds).index(arm)]))

        of_arm = {arm: drawn(arm, primary) for arm in seeds}
        shared = [
            get_task(name).metric(metric)
            for metric in base_tasks[name].statistics
            if metric != primary.name
            and all(metric in s.tasks[name].statistics for arm in seeds.values() for s in arm)
        ]
        row: dict[str, Any] = {
            "task": name,
            "metric": primary.name,
            "unit": primary.unit,
            "higher_is_better": primary.higher_is_better,
            "entries": len(base_tasks[name].entry_ids),
            "patients": len(set(base_tasks[name].patients)),
            "constant": None if constant is None else point(constant.tasks[name], primary),
            "arms": {
                arm: {**interval(values, level), "invalid": _invalid(seeds[arm], name)}
                for arm, values in of_arm.items()
            },
            "differences": {},
            "gains": {},
            "p": {},
            "p_holm": {},
            "others": {
                metric.name: {arm: interval(drawn(arm, metric), level) for arm in seeds}
                for metric in shared
            },
        }
        base = of_arm[reference]
        for arm in others:
            row["differences"][arm] = interval(of_arm[arm] - base, level)
            gain = _gain(of_arm[arm], base, primary)
            row["gains"][arm] = None if gain is None else interval(gain, level)
            if gain is not None:
                gains[arm].append(gain)
            row["p"][arm] = permutation_p(
                primary,
                *(
                    patient_sums(
                        [s.tasks[name].statistics[primary.name] for s in seeds[one]],
                        group, len(patients),
                    )
                    for one in (arm, reference)
                ),
                permutations=tests,
                random=np.random.default_rng([seed, 2]),
            )  # fmt: skip
        rows.append(row)
    for arm in others:
        adjusted = holm({row["task"]: row["p"][arm] for row in rows})
        for row in rows:
            row["p_holm"][arm] = adjusted[row["task"]]
    return Comparison(
        finite(
            {
                "reference": reference,
                "arms": list(seeds),
                "seeds": {arm: len(scores) for arm, scores in seeds.items()},
                "level": level,
                "resamples": resamples,
                "permutations": tests,
                "patients": len(patients),
                "tasks": rows,
                "mean_gain": {
                    arm: interval(np.mean(values, axis=0), level) if values else None
                    for arm, values in gains.items()
                },
            }
        )
    )


def compare_groups(
    arms: Mapping[str, Arm],
    groups: Mapping[str, Mapping[str, Collection[str]]],
    *,
    reference: str,
    **options: Any,
) -> dict[str, dict[str, Comparison]]:
    """:func:`compare` within sub-groups of entries.

    Args:
        arms: see :func:`compare`.
        groups: property (view, sex …) → its value → entry ids, see
            :func:`imaxray.evaluation.subgroups`.
        reference: see :func:`compare`.
        **options: see :func:`compare`.

    Returns:
        Property → value → comparison; values without a scored entry are absent. The p-values are
        corrected within a sub-group only: many groups are many looks.
    """
    result: dict[str, dict[str, Comparison]] = {}
    for prop, values in groups.items():
        for value, ids in values.items():
            part = {
                name: [restrict(s, ids) for s in _seeds(name, arm)] for name, arm in arms.items()
            }
            if part[reference][0].tasks:
                compared = compare(part, reference=reference, **options)
                result.setdefault(prop, {})[value] = compared
    return result


def _seeds(name: str, arm: Arm) -> list[Scores]:
    seeds = [arm] if isinstance(arm, Scores) else list(arm)
    if not seeds:
        raise ImaxrayError(f"Expected the scores of at least one seed of arm {name}, but got none.")
    return seeds


def _require_same_entries(arms: Mapping[str, Sequence[Scores]], reference: str) -> None:
    def ids(scores: Scores) -> dict[str, list[str]]:
        return {task: of_task.entry_ids for task, of_task in scores.tasks.items()}

    wanted = ids(arms[reference][0])
    for arm, seeds in arms.items():
        if any(ids(scores) != wanted for scores in seeds):
            raise ImaxrayError(
                f"Expected the arms {reference} and {arm} to be scored on the same entries, but "
                "they differ; evaluate both on one test set."
            )


def _gain(values: Floats, base: Floats, metric: Metric) -> Floats | None:
    """Relative gain on the data and on each resample; ``None`` where the reference is near zero.

    A resample in which the reference is near zero has no gain and is left out of the interval.
    """
    if not abs(base[0]) >= _TINY:
        return None
    sign = 1.0 if metric.higher_is_better else -1.0
    usable = np.abs(base) >= _TINY
    bottom = np.where(usable, np.abs(base), 1.0)
    return np.where(usable, sign * (values - base) / bottom, np.nan)


def _invalid(seeds: Sequence[Scores], task: str) -> float:
    metric = get_task(task).metric("invalid")
    return float(np.mean([point(scores.tasks[task], metric) for scores in seeds]))


def _interval_text(cell: Mapping[str, Any]) -> str:
    return f"{_number(cell['value'])} [{_number(cell['low'])}, {_number(cell['high'])}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(cell: Mapping[str, Any] | None) -> str:
    if cell is None or None in cell.values():
        return "–"
    return f"{100 * cell['value']:+.1f} % [{100 * cell['low']:+.1f}, {100 * cell['high']:+.1f}]"
