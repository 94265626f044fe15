"""Holds the comparison of arms on one test set, and writes it as tables, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

import polars as pl
from rich.table import Table

from imaxray._common.files import csv_text
from imaxray._common.names import require_known
from imaxray.errors import ImaxrayError
from imaxray.evaluation.comparing.latex import latex_number, latex_table, latex_text
from imaxray.evaluation.comparing.power import Power, power_sentences
from imaxray.evaluation.comparing.resampling import Interval
from imaxray.evaluation.comparing.wording import (
    arrow,
    gain_sentence,
    interval_text,
    number_text,
    percent_text,
)
from imaxray.metrics import Floats


class ArmValue(Interval):
    """Holds the primary metric of an arm on a task and the share of its unreadable answers."""

    invalid: float | None


class TaskComparison(TypedDict):
    """Holds the comparison of all arms on one task.

    Attributes:
        metric: Name of the task's primary metric; ``unit`` and ``higher_is_better`` belong to it.
        constant: Primary metric of the constant baseline.
        arms: Arm → value with interval.
        differences: Arm → difference to the reference with interval.
        gains: Arm → relative gain with interval; ``None`` if the reference is near zero.
        p: Arm → uncorrected p-value of the difference.
        p_holm: Arm → p-value of the difference, corrected over the tasks by Holm.
        others: Name of another metric → arm → value with interval.
    """

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    entries: int
    patients: int
    constant: float | None
    arms: dict[str, ArmValue]
    differences: dict[str, Interval]
    gains: dict[str, Interval | None]
    p: dict[str, float]
    p_holm: dict[str, float]
    others: dict[str, dict[str, Interval]]


class ComparisonData(TypedDict):
    """Holds every number of a comparison.

    Attributes:
        seeds: Arm → number of its training runs.
        level: Confidence level of the intervals.
        tasks: Comparison on each task, in the order of the schema.
        mean_gain: Arm → mean of its relative gains over the tasks; ``None`` if no task has a gain.
    """

    reference: str
    arms: list[str]
    seeds: dict[str, int]
    level: float
    resamples: int
    permutations: int
    patients: int
    tasks: list[TaskComparison]
    mean_gain: dict[str, Interval | None]


@dataclass(frozen=True)
class Comparison:
    """A comparison of arms on one test set.

    Gains are fractions and are positive where the arm is better than the reference.

    Attributes:
        data: Every number of the comparison; can be written as JSON.
        draws: Arm → its mean relative gain on the data and on each resample, (1 + resamples,), for
            means over several comparisons that share their patients and seed.
        powers: Arm → how small a mean gain would have been found; empty if the comparison was read
            from a file.
    """

    data: ComparisonData
    draws: Mapping[str, Floats] = field(default_factory=dict, compare=False, repr=False)
    powers: Mapping[str, Power] = field(default_factory=dict, compare=False, repr=False)

    def as_dict(self) -> ComparisonData:
        """Return the numbers as a plain dictionary."""
        return self.data.copy()

    @property
    def others(self) -> list[str]:
        """All arms except the reference."""
        return [arm for arm in self.data["arms"] if arm != self.data["reference"]]

    def gain(self, task: str, arm: str | None = None) -> Interval | None:
        """Return the relative gain of an arm on a task; None if it is undefined.

        Args:
            task: Name of the task.
            arm: Name of the arm; may be left out if there is only one besides the reference.

        Raises:
            ImaxrayError: If the task was not compared, or the arm is not named and there are
                several.
        """
        of_task = {row["task"]: row for row in self.data["tasks"]}
        require_known(task, of_task, "a task that was compared")
        return of_task[task]["gains"][self._arm(arm)]

    def mean_gain(self, arm: str | None = None) -> Interval | None:
        """Return the mean relative gain of an arm over the tasks; arguments as :meth:`gain`."""
        return self.data["mean_gain"][self._arm(arm)]

    def _arm(self, arm: str | None) -> str:
        if arm is None and len(self.others) == 1:
            return self.others[0]
        if arm is None:
            raise ImaxrayError(
                f"Expected one of the arms {', '.join(self.others)}, but none is named; name one "
                "of them."
            )
        require_known(arm, self.others, "an arm")
        return arm

    def verdict(self, arm: str | None = None) -> str:
        """Say in one sentence how an arm compares with the reference, whichever is better."""
        name, reference = self._arm(arm), self.data["reference"]
        said = gain_sentence(self.mean_gain(name), name, reference)
        # a sentence begins with a capital, but the name of an arm is written as it is
        return said if said.startswith((name, reference)) else said[0].upper() + said[1:]

    def power(self) -> list[str]:
        """Say for each arm how small a mean gain would have been found, in a sentence each."""
        gains = {arm: found and found["value"] for arm, found in self.data["mean_gain"].items()}
        return power_sentences(self.powers, gains)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per task and arm: value, difference, gain and p-values with intervals.

        Differences, gains and p-values of the reference are null. The rows of the task ``mean``
        hold the mean gains.

        Returns:
            Columns task, metric, unit, higher_is_better, entries, patients, constant, arm, seeds,
            invalid, p, p_holm, and three columns ``NAME``, ``NAME_low`` and ``NAME_high`` for
            difference and gain; those of the value are value, low and high.
        """
        rows: list[dict[str, Any]] = [
            {
                **{key: row[key] for key in _OF_TASK},
                "arm": arm,
                "seeds": self.data["seeds"][arm],
                **row["arms"][arm],
                **_columns("difference", row["differences"].get(arm)),
                **_columns("gain", row["gains"].get(arm)),
                "p": row["p"].get(arm),
                "p_holm": row["p_holm"].get(arm),
            }
            for row in self.data["tasks"]
            for arm in self.data["arms"]
        ]
        for arm in self.others:
            means = _columns("gain", self.data["mean_gain"][arm])
            rows.append(
                {"task": "mean", "metric": "relative gain", "arm": arm,
                 "seeds": self.data["seeds"][arm], **means}
            )  # fmt: skip
        return pl.DataFrame(rows, schema=_FRAME)

    def to_csv(self) -> str:
        """Return :meth:`to_frame` as CSV, whose texts are safe in a spreadsheet."""
        return csv_text(self.to_frame())

    def to_latex(self) -> str:
        """Return the comparison as a LaTeX table, which needs no package."""
        arms, others = self.data["arms"], self.others
        head = ["task", "metric", *arms]
        for arm in others:
            head += [f"gain {arm}", "p (Holm)"]
        body = []
        for row in self.data["tasks"]:
            cells = [interval_text(row["arms"][arm]) for arm in arms]
            for arm in others:
                cells += [percent_text(row["gains"][arm]), number_text(row["p_holm"][arm])]
            metric = f"{row['metric']} {arrow(row['higher_is_better'])}"
            body.append([*map(latex_text, (row["task"], metric)), *map(latex_number, cells)])
        mean = ["mean", "relative gain", *([""] * len(arms))]
        for arm in others:
            mean += [latex_number(percent_text(self.data["mean_gain"][arm])), ""]
        return latex_table(list(map(latex_text, head)), body, [mean], texts=2)

    def tables(self, title: str) -> list[Table]:
        """Return the comparison as tables for the terminal: one, or one per arm of several.

        More than two arms beside the reference do not fit into one table.
        """
        if len(self.others) <= _WIDE:
            return [self.table(title)]
        return [self.table(f"{title}: {arm}", only=arm) for arm in self.others]

    def table(self, title: str, *, only: str | None = None) -> Table:
        """Return the comparison as a table for the terminal.

        Args:
            title: Title of the table.
            only: The only arm to show besides the reference; None: all arms.
        """
        others = self.others if only is None else [only]
        arms = [arm for arm in self.data["arms"] if arm not in self.others or arm in others]
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
            metric = f"{row['metric']} {arrow(row['higher_is_better'])}"
            cells = [row["task"], metric, number_text(row["constant"])]
            cells += [interval_text(row["arms"][arm]) for arm in arms]
            for arm in others:
                cells += [percent_text(row["gains"][arm]), number_text(row["p_holm"][arm])]
            table.add_row(*cells)
        means = [cell for arm in others for cell in (percent_text(self.data["mean_gain"][arm]), "")]
        table.add_section()
        table.add_row("mean", "relative gain", "", *([""] * len(arms)), *means)
        return table


_WIDE: Final = 2
"""Highest number of arms besides the reference in one table."""

_OF_TASK: Final = (
    "task", "metric", "unit", "higher_is_better", "entries", "patients", "constant",
)  # fmt: skip
_FRAME: Final = pl.Schema(
    {
        "task": pl.String, "metric": pl.String, "unit": pl.String, "higher_is_better": pl.Boolean,
        "entries": pl.Int64, "patients": pl.Int64, "constant": pl.Float64, "arm": pl.String,
        "seeds": pl.Int64, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "invalid": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64,
        "difference_high": pl.Float64, "gain": pl.Float64, "gain_low": pl.Float64,
        "gain_high": pl.Float64, "p": pl.Float64, "p_holm": pl.Float64,
    }
)  # fmt: skip


def _columns(name: str, cell: Interval | None) -> dict[str, float | None]:
    if cell is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: cell["value"], f"{name}_low": cell["low"], f"{name}_high": cell["high"]}
