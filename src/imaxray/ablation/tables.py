"""Writes the outcome of an ablation as tables: terminal, CSV, JSON, and Markdown for the docs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from imaxray._common.files import whole_file, write_csv, write_text
from imaxray._common.folders import record_claimed
from imaxray._common.state import write_state
from imaxray.ablation.arm import ArmRecord
from imaxray.ablation.arms import ARMS, CEILING, CHOSEN, EQUAL_COMPUTE, REFERENCE, WHOLE
from imaxray.ablation.run import FILES, TABLES, AblationOutcome, claim_ablation, made_from
from imaxray.evaluation import (
    Comparison,
    Interval,
    interval_text,
    number_text,
    percent_text,
    points_text,
)
from imaxray.evaluation.comparing.wording import gain_sentence
from imaxray.schema import task_names

Rows = list[list[str]]

_FILTERS = ("none", "confidence", "consistency", "both", "balance")


def ablation_tables(outcome: AblationOutcome) -> list[Table]:
    """Return tables for the terminal: arms, scores by task, precision of filters, equal yield."""
    return [_table(title, header, rows) for title, (header, rows) in _content(outcome)]


def write_ablation(outcome: AblationOutcome, out: Path | None = None) -> Path:
    """Write the outcome of an ablation as JSON, CSV and Markdown files.

    The files are ``ablation.json``, ``ablation.csv``, ``pseudo.csv``, ``equal-yield.csv``,
    ``rules.csv`` and ``ablation.md``.

    Args:
        outcome: Outcome that :func:`imaxray.ablation.run_ablation` returned.
        out: Folder to write into; default: the study folder.

    Returns:
        The Markdown file.
    """
    out = out or outcome.out
    claim_ablation(out)
    equal_compute = outcome.equal_compute
    write_state(
        out / "ablation.json",
        {
            "config": outcome.config.content(),
            "arms": {arm: list(map(dict, runs)) for arm, runs in outcome.arms.items()},
            "equal_steps": outcome.equal_steps.as_dict(),
            "equal_compute": None if equal_compute is None else equal_compute.as_dict(),
            "pseudo": outcome.filters.to_dicts(),
            "equal_yield": outcome.equal_yield.to_dicts(),
            "rules": outcome.rules.to_dicts(),
        },
    )
    _write_values(outcome, out / "ablation.csv")
    tables = (outcome.filters, outcome.equal_yield, outcome.rules)
    for name, table in zip(TABLES, tables, strict=True):
        write_csv(out / f"{name}.csv", table)
    path = out / "ablation.md"
    write_text(path, _markdown(outcome))
    made = made_from(outcome) if out == outcome.out else ()
    record_claimed(out, (*FILES, *made))
    return path


def summary(outcome: AblationOutcome, arms: Sequence[str] | None = None) -> list[str]:
    """Describe the results in sentences, whichever arm is better.

    Args:
        outcome: Outcome of an ablation.
        arms: Arms to describe; None: the whole strategy, and the arm whose time was given to dmax.
    """
    chosen = arms or dict.fromkeys((outcome.config.ablation.compute_of, WHOLE, CHOSEN))
    lines = []
    views = {"equal steps": outcome.equal_steps, "equal compute": outcome.equal_compute}
    for view, comparison in views.items():
        if comparison is not None:
            reference = comparison.as_dict()["reference"]
            lines += [
                f"At {view}, {gain_sentence(comparison.mean_gain(arm), arm, reference)}"
                for arm in chosen
                if arm in comparison.others
            ]
    every = [r for r in outcome.equal_yield.iter_rows(named=True) if r["task"] == "all"]
    for name in ("consistency", "both"):
        gains = [r["gain"] for r in every if r["filter"] == name and r["gain"] is not None]
        if gains:
            lines.append(
                f"At equal yield, the precision of the filter {name} minus the precision of "
                f"confidence alone is {_points(gains)} (mean over seeds)."
            )
    return lines


def _content(outcome: AblationOutcome) -> list[tuple[str, tuple[list[str], Rows]]]:
    tables = [
        ("Arms", _arms(outcome)),
        ("Scores, mean over seeds with intervals over patients and seeds", _scores(outcome)),
    ]
    if not outcome.filters.is_empty():
        tables.append(("Precision of pseudo labels (kept)", _precision(outcome)))
    if not outcome.equal_yield.is_empty():
        tables.append(("Precision at equal yield", _equal_yield(outcome)))
    return tables


def _arms(outcome: AblationOutcome) -> tuple[list[str], Rows]:
    unit = "CPU s" if next(iter(outcome.arms.values()))[0]["clock"] == "cpu" else "s"
    header = ["arm", "steps", "entries seen", "10¹² operations", f"training {unit}",
              f"pseudo {unit}", "derived entries", "pseudo entries",
              f"gain over {REFERENCE}"]  # fmt: skip
    fairest = outcome.equal_compute or outcome.equal_steps
    if outcome.equal_compute is not None:
        header.append(f"gain over {EQUAL_COMPUTE}")
    header.append("share of the ceiling")
    rows = []
    for arm, runs in outcome.arms.items():
        added = [sum(r["pseudo_entries"]) for r in runs]
        rows.append([
            arm, _mean(runs, "steps"), _mean(runs, "entries_seen"), tera(mean_operations(runs)),
            _mean(runs, "train_seconds"), _mean(runs, "pseudo_seconds"),
            _mean(runs, "derived_entries"),
            f"{sum(added) / len(added):,.0f}",
            _gain(outcome.equal_steps, arm),
            *([] if outcome.equal_compute is None else [_gain(outcome.equal_compute, arm)]),
            _share(fairest, arm),
        ])  # fmt: skip
    return header, rows


def mean_operations(runs: Sequence[ArmRecord]) -> float | None:
    """Return the mean number of operations of an arm's runs; None if one of them counted none."""
    counted = [run.get("operations") for run in runs]
    return None if None in counted else sum(counted) / len(counted)  # type: ignore[arg-type]


def tera(operations: float | None) -> str:
    """Write a number of operations in units of 10¹².

    Example:
        >>> tera(13_860_000_000_000), tera(912_000_000), tera(None)
        ('13.9', '0.000912', '–')
    """
    if operations is None:
        return "–"
    amount = operations / 1e12
    return f"{amount:,.1f}" if amount >= 10 else f"{amount:.3g}"


def _share(comparison: Comparison, arm: str) -> str:
    """Return the gain of an arm as share of the gain of all true annotations."""
    gains = comparison.as_dict()["mean_gain"]
    own, most = (gain["value"] if (gain := gains.get(a)) else None for a in (arm, CEILING))
    return "–" if own is None or not most or most < 0 else f"{own / most:.2f}"


def _scores(outcome: AblationOutcome) -> tuple[list[str], Rows]:
    tasks = outcome.equal_steps.as_dict()["tasks"]
    header = ["arm", *(f"{t['task']} ({t['metric']} {'↑' if t['higher_is_better'] else '↓'})"
                       for t in tasks)]  # fmt: skip
    rows = [["constant", *(number_text(t["constant"]) for t in tasks)]]
    for arm in outcome.arms:
        cells = [t["arms"][arm] for t in tasks]
        rows.append([
            arm,
            *map(interval_text, cells),
        ])  # fmt: skip
    return header, rows


def _precision(outcome: AblationOutcome) -> tuple[list[str], Rows]:
    rows = []
    for task in (*task_names(), "all"):
        cells = []
        for name in _FILTERS:
            part = outcome.filters.filter((pl.col("task") == task) & (pl.col("filter") == name))
            kept = _average(part["kept"])
            cells.append("–" if not kept else f"{_spread(part['precision'])} ({kept})")
        if any(cell != "–" for cell in cells):
            rows.append([task, *cells])
    return ["task", "no filter", *_FILTERS[1:]], rows


def _equal_yield(outcome: AblationOutcome) -> tuple[list[str], Rows]:
    rows = []
    for name in ("consistency", "both"):
        for task in (*task_names(), "all"):
            part = outcome.equal_yield.filter((pl.col("task") == task) & (pl.col("filter") == name))
            if part.is_empty():
                continue
            each = "; ".join(
                "–"
                if gain is None
                else f"{points_text(gain)} [{points_text(low)}, {points_text(high)}]"
                for gain, low, high in part.select("gain", "low", "high").iter_rows()
            )
            rows.append([
                name, task, _average(part["kept"]), _spread(part["precision"]),
                _spread(part["confidence_precision"]), each,
            ])  # fmt: skip
    header = ["filter", "task", "kept", "precision", "precision of as many most confident answers",
              "difference per seed, points [95 % interval over patients]"]  # fmt: skip
    return header, rows


def _markdown(outcome: AblationOutcome) -> str:
    config = outcome.config
    seeds = len(config.ablation.seeds)
    parts = [
        f"# {config.title}",
        "",
        f"{seeds} seed{'s' if seeds > 1 else ''}; {config.steps} steps of "
        f"{config.training.entries_per_step} entries in every arm except `{EQUAL_COMPUTE}`. Gains "
        "are mean relative gains over the tasks, with "
        f"{100 * config.evaluation.level:.0f} % intervals over patients and seeds.",
        "",
        *(f"- `{arm}`: {ARMS[arm].meaning}" for arm in outcome.arms),
    ]
    for title, (header, rows) in _content(outcome):
        parts += ["", f"## {title}", "", _line(header), _line(["---"] * len(header))]
        parts += [_line(row) for row in rows]
    told = summary(outcome)
    if told:
        parts += ["", "## Summary", "", *(f"- {line}" for line in told)]
    return "\n".join(parts) + "\n"


def _write_values(outcome: AblationOutcome, path: Path) -> None:
    """Write one row per arm and task, and one row per arm with its mean gain."""
    views = {"equal_steps": outcome.equal_steps, "equal_compute": outcome.equal_compute}
    head = ["arm", "task", "metric", "value", "low", "high"]
    head += [f"gain_{view}{end}" for view in views for end in ("", "_low", "_high")]
    first = outcome.equal_steps.as_dict()
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        for arm in outcome.arms:
            for n, task in enumerate(first["tasks"]):
                cell = task["arms"][arm]
                gains: list[Any] = []
                for view in views.values():
                    data = None if view is None else view.as_dict()["tasks"][n]["gains"].get(arm)
                    gains += _ends(data)
                writer.writerow([arm, task["task"], task["metric"], *_ends(cell), *gains])
            means: list[Any] = []
            for view in views.values():
                means += _ends(None if view is None else view.as_dict()["mean_gain"].get(arm))
            writer.writerow([arm, "mean", "relative gain", "", "", "", *means])


def _gain(comparison: Comparison, arm: str) -> str:
    return percent_text(comparison.as_dict()["mean_gain"].get(arm))


def _mean(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    return f"{sum(run[key] for run in runs) / len(runs):,.0f}"


def _ends(cell: Interval | None) -> list[Any]:
    return ["", "", ""] if cell is None else [cell["value"], cell["low"], cell["high"]]


def _spread(values: pl.Series) -> str:
    """Return the mean over seeds as text, with the lowest and the highest value."""
    known = [value for value in values.to_list() if value is not None]
    if not known:
        return "–"
    mean = sum(known) / len(known)
    if len(known) == 1:
        return f"{mean:.3f}"
    return f"{mean:.3f} ({min(known):.3f} to {max(known):.3f})"


def _average(values: pl.Series) -> str:
    counts: list[int] = values.to_list()
    return f"{sum(counts) / len(counts):,.0f}" if counts else ""


def _points(gains: Sequence[float]) -> str:
    return f"{points_text(sum(gains) / len(gains))} points"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(title: str, header: Sequence[str], rows: Rows) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(header):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
