"""Makes the table of the paper: one row per model, its gains per task, and a line over models.

The line over models has the mean and the range of the models' mean gains, a sign test, and an
interval of a bootstrap that draws models, patients and seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from rich.table import Table

from imaxray.evaluation import (
    latex_number,
    latex_table,
    latex_text,
    percent_text,
    points_text,
)
from imaxray.evaluation.comparing.wording import DASH
from imaxray.schema import task_names

if TYPE_CHECKING:
    from imaxray.evaluation import Comparison
    from imaxray.study.config import StudyConfig
    from imaxray.study.results.outcome import ModelOutcome

STATED: Final = "3.20 to 21.05 %"
"""Gains over seven medical MLLMs that the paper (arXiv 2504.09967) states; not measured here."""


@dataclass(frozen=True)
class OverModels:
    """Mean relative gain of an arm over all models.

    Attributes:
        view: ``equal entries`` or ``equal compute``.
        arm: Name of the arm.
        mean: Mean over the models of their mean gains, a fraction.
        median: Median over the models of their mean gains, which one outlier does not move.
        low: Lower end of the interval, over models and within each of them.
        high: Upper end of the interval.
        least: Smallest mean gain of a model.
        most: Largest mean gain of a model.
        ahead: Number of models whose mean gain is above 0.
        models: Number of models with a gain.
        p: Two-sided p-value of the sign test over models.
        stated: What the paper states for this contrast, for other models and data; None if it
            states nothing.
    """

    view: str
    arm: str
    mean: float
    median: float
    low: float
    high: float
    least: float
    most: float
    ahead: int
    models: int
    p: float
    stated: str | None = None

    def text(self) -> str:
        """Return the mean with its interval in percent."""
        return percent_text({"value": self.mean, "low": self.low, "high": self.high})


@dataclass(frozen=True)
class ModelTable:
    """Gains of all models of a study, against the reference.

    Attributes:
        reference: Arm that gains are relative to.
        frame: One row per view, arm, model and task (and ``mean``), with columns view, arm, model,
            task, gain, low and high as fractions; null where a gain is undefined.
        over: One line over models per view and arm.
        level: Confidence level of the intervals.
    """

    reference: str
    frame: pl.DataFrame
    over: Sequence[OverModels]
    level: float

    def as_dict(self) -> dict[str, Any]:
        """Return the table as a dictionary that can be written as JSON."""
        return {
            "reference": self.reference,
            "level": self.level,
            "rows": self.frame.to_dicts(),
            "over_models": [vars(line) for line in self.over],
        }

    def _columns(self, view: str, arm: str) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
        part = self.frame.filter(view=view, arm=arm)
        known = set(part["task"])
        tasks = [task for task in (*task_names(), "mean") if task in known]
        rows = [
            (model, {row["task"]: row for row in part.filter(model=model).iter_rows(named=True)})
            for model in part["model"].unique(maintain_order=True)
        ]
        return tasks, rows

    def tables(self) -> list[Table]:
        """Return one table for the terminal per view and arm."""
        found = []
        for line in self.over:
            tasks, rows = self._columns(line.view, line.arm)
            table = Table(
                title=f"Relative gain of {line.arm} over {self.reference} at {line.view}",
                title_justify="left",
            )
            table.add_column("model")
            for task in tasks:
                table.add_column(task, justify="right")
            for model, cells in rows:
                table.add_row(model, *(_text(cells.get(task)) for task in tasks))
            table.add_section()
            blank = [""] * (len(tasks) - 1)
            table.add_row("all models", *blank, line.text())
            if line.stated is not None:
                table.add_row("the paper states", *blank, line.stated)
            found.append(table)
        return found

    def cells(self, line: OverModels) -> tuple[list[str], dict[str, list[str]]]:
        """Return the columns and the cells of each model, as text, behind a line over models."""
        tasks, rows = self._columns(line.view, line.arm)
        return tasks, {model: [_text(cells.get(task)) for task in tasks] for model, cells in rows}

    def latex(self) -> str:
        """Return the tables as LaTeX, which needs no package; stated numbers stand apart."""
        parts = []
        for line in self.over:
            tasks, rows = self._columns(line.view, line.arm)
            body = [
                [latex_text(model), *(latex_number(_points(cells.get(task))) for task in tasks)]
                for model, cells in rows
            ]
            last = {"all models": _points({"gain": line.mean, "low": line.low, "high": line.high})}
            if line.stated is not None:
                last["the paper states"] = line.stated
            foot = [
                [rf"\multicolumn{{{len(tasks)}}}{{l}}{{{name}}}", latex_number(text)]
                for name, text in last.items()
            ]
            parts.append(
                f"% Relative gain of {line.arm} over {self.reference} at {line.view}, in percent, "
                "with intervals.\n" + latex_table(["model", *map(latex_text, tasks)], body, foot)
            )
        return "\n".join(parts)

    def sentences(self) -> list[str]:
        """Describe the lines over models."""
        return [
            f"Over {line.models} models at {line.view}, the mean relative gain of {line.arm} is "
            f"{line.text()}, the median {points_text(line.median)} %, from "
            f"{points_text(line.least)} % to {points_text(line.most)} %; it is above 0 for "
            f"{line.ahead} of {line.models} (sign test p = {line.p:.3f})."
            + (
                ""
                if line.stated is None
                else f" The paper states {line.stated} for other models and data."
            )
            for line in self.over
        ]


def model_table(config: StudyConfig, models: Mapping[str, ModelOutcome]) -> ModelTable:
    """Gather the gains of all models into one table.

    Args:
        config: Configuration of the study.
        models: Outcome of each model.
    """
    rows: list[dict[str, Any]] = []
    over: list[OverModels] = []
    views: dict[str, dict[str, Comparison]] = {
        "equal entries": {name: outcome.equal_entries for name, outcome in models.items()},
        "equal compute": {
            name: outcome.equal_compute
            for name, outcome in models.items()
            if outcome.equal_compute is not None
        },
    }
    for view, found in views.items():
        if not found:
            continue
        first = next(iter(found.values())).as_dict()
        for arm in first["arms"]:
            if arm == config.reference:
                continue
            for name, comparison in found.items():
                data = comparison.as_dict()
                cells = {row["task"]: row["gains"][arm] for row in data["tasks"]}
                cells["mean"] = data["mean_gain"][arm]
                for task, cell in cells.items():
                    low, value, high = (
                        (None, None, None)
                        if cell is None
                        else (cell["low"], cell["value"], cell["high"])
                    )
                    rows.append(
                        {"view": view, "arm": arm, "model": name, "task": task,
                         "gain": value, "low": low, "high": high}
                    )  # fmt: skip
            block = config.arms[arm]
            line = _over(view, arm, list(found.values()), config)
            if line is not None:
                of_paper = block.data == "imax" and block.is_trained and config.reference == "dmax"
                over.append(replace(line, stated=STATED if of_paper else None))
    return ModelTable(config.reference, gain_frame(rows), over, config.evaluation.level)


def gain_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows of gains as a table with the columns of :attr:`ModelTable.frame`."""
    return pl.DataFrame(
        rows,
        schema={
            "view": pl.String, "arm": pl.String, "model": pl.String, "task": pl.String,
            "gain": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        },
    )  # fmt: skip


def _over(
    view: str, arm: str, comparisons: Sequence[Comparison], config: StudyConfig
) -> OverModels | None:
    """Return the line over models; each resample draws models, and all share its patients."""
    draws = [c.draws[arm] for c in comparisons if arm in c.draws]
    if not draws:
        return None
    each = np.stack(draws)  # (models, 1 + resamples)
    values = each[:, 0]
    random = np.random.default_rng([config.seed, 3])
    chosen = random.integers(0, len(each), (len(each), each.shape[1]))
    means = np.take_along_axis(each, chosen, axis=0).mean(axis=0)
    if len(each) > 1:  # models drawn with replacement differ too little; as for seeds
        means = each.mean(axis=0) + np.sqrt(len(each) / (len(each) - 1)) * (
            means - each.mean(axis=0)
        )
    edge = (1 - config.evaluation.level) / 2
    low, high = np.nanquantile(means[1:], [edge, 1 - edge])
    ahead, behind = int((values > 0).sum()), int((values < 0).sum())
    return OverModels(
        view, arm, float(values.mean()), float(np.median(values)), float(low), float(high),
        float(values.min()), float(values.max()), ahead, len(values), sign_test(ahead, behind),
    )  # fmt: skip


def sign_test(ahead: int, behind: int) -> float:
    """Return the two-sided p-value of the sign test.

    Example:
        >>> round(sign_test(7, 0), 4), sign_test(1, 1)
        (0.0156, 1.0)
    """
    n = ahead + behind
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(max(ahead, behind), n + 1)) / 2**n
    return float(min(1.0, 2 * tail))


def _text(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return DASH
    return percent_text({"value": cell["gain"], "low": cell["low"], "high": cell["high"]})


def _points(cell: Mapping[str, Any] | None) -> str:
    """Return a gain with its interval in percent, without the unit that the caption states."""
    if cell is None or cell["gain"] is None:
        return DASH
    gain, low, high = (points_text(cell[key]) for key in ("gain", "low", "high"))
    return f"{gain} [{low}, {high}]"
