"""Shows what rules derived and what filters kept of a model's answers, with their precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from imaxray.evaluation import interval_text, number_text, points_text
from imaxray.evaluation.comparing.wording import DASH
from imaxray.report import Heading, Lines, Missing, Part, Picture, Table, Text
from imaxray.report.figures import Row, grouped_bars, intervals, lying_bars, svg
from imaxray.schema import task_names

_FILTERS: Final = ("none", "confidence", "consistency", "both", "balance")


def rule_parts(record: Mapping[str, Any], title: str, name: str) -> list[Part]:
    """Return the number of entries that each rule derived, and how many of them are right.

    Args:
        record: Record of a derivation (:class:`imaxray.strategy.records.DeriveRecord`).
        title: Heading of the parts.
        name: Name of the table's files, the only one of this name in a report.
    """
    rules: Sequence[Mapping[str, Any]] = record["rules"]
    parts: list[Part] = [Heading(title)]
    if not rules:
        return [*parts, Missing("Entries by rule", "no rule derived an entry.")]
    per_task = {t: float(record["tasks"][t]) for t in task_names() if record["tasks"].get(t)}
    told = " ".join(f"{task}: {number:,.0f}." for task, number in per_task.items())
    off = record["switched_off"]
    parts += [
        Text(
            f"{record['derived']:,} entries are derived. "
            f"{len(off)} rules, or parts of rules, are off: the configuration leaves them out, or "
            "too few of their entries are right."
        ),
        *([Lines("Rules that are off", off, folded=True)] if off else []),
        Picture(
            svg(lying_bars({"derived entries of each task": {"derived": per_task}}, "entries",
                           columns=1), f"Derived entries by task, {name}", told),
            "Entries that rules derived from the annotations of the images, by task.",
        ),
    ]  # fmt: skip
    judged = [r for r in rules if r["precision"] is not None]
    if judged:
        rows = [
            Row(f"{r['rule']} ({r['judged']:,})",
                {"precision": {"value": r["precision"], "low": r["low"], "high": r["high"]}})
            for r in judged
        ]  # fmt: skip
        spoken = " ".join(f"{row.label}: {interval_text(row.cells['precision'])}." for row in rows)
        parts.append(
            Picture(
                svg(intervals(rows, "share of right entries", from_zero=True),
                    f"Precision of each rule, {name}", spoken),
                "Share of right entries of each rule that could be judged, with the number of "
                "judged entries.",
            )
        )  # fmt: skip
    else:
        parts.append(
            Missing(
                "The precision of each rule",
                "no derived entry could be judged, because the releases do not state these facts "
                "apart from what the rules used.",
            )
        )
    parts.append(
        Table(
            name, f"{title}, by rule", ["rule", "task", "entries", "judged", "precision"],
            [[r["rule"], r["task"], f"{r['entries']:,}", f"{r['judged'] or 0:,}",
              interval_text({"value": r["precision"], "low": r["low"], "high": r["high"]})]
             for r in rules],
            texts=2, frame=pl.DataFrame(rules, infer_schema_length=None), folded=len(rules) > 14,
        )
    )  # fmt: skip
    return parts


def filter_parts(
    yields: pl.DataFrame, equal_yield: pl.DataFrame, rules: pl.DataFrame, *, key: str = ""
) -> list[Part]:
    """Return what each filter kept of a model's answers, per task, and how much of it is right.

    Args:
        yields: Per seed, task and filter: candidates, kept, judged and precision.
        equal_yield: The filters against as many of the most confident answers.
        rules: What each consistency rule said, per seed.
        key: End of the names of the tables' files.
    """
    if yields.is_empty():  # without rows it has no columns, either
        return [Missing("Yields of the filters", "no answer of the model is readable.")]
    tasks = [t for t in (*task_names(), "all") if t in set(yields["task"])]
    shown = [f for f in _FILTERS if f in set(yields["filter"])]
    kept = {_named(f): {t: _share(yields.filter(task=t, filter=f)) for t in tasks} for f in shown}
    told = " ".join(f"{t}, {f}: {v:.0f} %." for f, bars in kept.items() for t, v in bars.items())
    drawn = grouped_bars({"share of the readable answers that are kept": kept}, "%",
                         size=(9.0, 2.8))  # fmt: skip
    parts: list[Part] = [
        Picture(
            svg(drawn, f"Yields of the filters{key}", told),
            "Share of the readable answers that each filter keeps, by task, as the mean over "
            "seeds. Without a filter, every readable answer is kept.",
        )
    ]
    right = [
        Row(task, {_named(f): _precision(yields.filter(task=task, filter=f)) for f in shown})
        for task in tasks
    ]
    right = [row for row in right if any(row.cells.values())]
    if right:
        spoken = " ".join(
            f"{row.label}: "
            + ", ".join(f"{f} {interval_text(c)}" for f, c in row.cells.items() if c) + "."
            for row in right
        )  # fmt: skip
        parts.append(
            Picture(
                svg(intervals(right, "share of right answers", from_zero=True),
                    f"Precision of the filters{key}", spoken),
                "Share of right answers among those that each filter keeps. Lines reach from the "
                "lowest to the highest seed, or over the interval where there is one seed.",
            )
        )  # fmt: skip
    else:
        parts.append(Missing("The precision of the answers", "no answer could be judged."))
    cells = [
        [r["task"], _named(r["filter"]), *([str(r["seed"])] if "seed" in r else []),
         f"{r['candidates']:,}", f"{r['kept']:,}", f"{r['judged'] or 0:,}",
         interval_text({"value": r["precision"], "low": r["low"], "high": r["high"]})]
        for r in yields.iter_rows(named=True)
    ]  # fmt: skip
    seed = ["seed"] if "seed" in yields.columns else []
    parts.append(
        Table(f"yields{key}", "What each filter keeps",
              ["task", "filter", *seed, "candidates", "kept", "judged", "precision"], cells,
              texts=2, frame=yields, folded=len(cells) > 14)
    )  # fmt: skip
    if not equal_yield.is_empty():
        parts.append(_equal(equal_yield, key))
    if not rules.is_empty():
        parts.append(_consistency(rules, key))
    return parts


def _named(name: str) -> str:
    """Return the name of a filter for a reader.

    Example:
        >>> _named("none"), _named("both")
        ('no filter', 'both')
    """
    return "no filter" if name == "none" else name


def _share(part: pl.DataFrame) -> float:
    total = part["candidates"].sum()
    return 100 * float(part["kept"].sum()) / float(total) if total else 0.0


def _precision(part: pl.DataFrame) -> Mapping[str, Any] | None:
    known = part.drop_nulls("precision")
    if known.is_empty():
        return None
    values: list[float] = known["precision"].to_list()
    if len(values) == 1:
        row = known.row(0, named=True)
        return {"value": values[0], "low": row["low"], "high": row["high"]}
    return {"value": sum(values) / len(values), "low": min(values), "high": max(values)}


def _equal(table: pl.DataFrame, key: str) -> Table:
    seed = ["seed"] if "seed" in table.columns else []
    rows = [
        [r["filter"], r["task"], *(str(r[s]) for s in seed), f"{r['kept']:,}",
         number_text(r["precision"]), number_text(r["confidence_precision"]),
         DASH if r["gain"] is None else f"{points_text(r['gain'])} "
         f"[{points_text(r['low'])}, {points_text(r['high'])}]"]
        for r in table.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        f"equal-yield{key}",
        "Precision at equal yield: each filter against as many of the most confident answers",
        ["filter", "task", *seed, "kept", "precision", "of the most confident",
         "difference in points"],
        rows, texts=2, frame=table, folded=True,
    )  # fmt: skip


def _consistency(table: pl.DataFrame, key: str) -> Table:
    seed = ["seed"] if "seed" in table.columns else []

    def right(row: Mapping[str, Any], what: str) -> str:
        return interval_text({e: row[f"{what}_{k}"] for e, k in _ENDS})

    rows = [
        [r["rule"], r["task"], r["effect"], *(str(r[s]) for s in seed), f"{r['candidates']:,}",
         f"{r['contradicted']:,}", right(r, "contradicted"), f"{r['agreed']:,}",
         right(r, "agreed")]
        for r in table.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        f"consistency{key}",
        "What each clinical rule said about the answers, and how many of them are right",
        ["rule", "task", "effect", *seed, "answers", "contradicted", "right of these", "agreed",
         "right of these "],
        rows, texts=3, frame=table, folded=len(rows) > 14,
    )  # fmt: skip


_ENDS: Final = (("value", "precision"), ("low", "low"), ("high", "high"))


def as_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows of a record as a table, whichever of them has which key."""
    return pl.DataFrame(list(rows), infer_schema_length=None)
