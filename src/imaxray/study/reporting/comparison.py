"""Makes the sections of results: each view of the comparison, all models, and data × layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from imaxray.evaluation import interval_text, number_text, percent_text
from imaxray.evaluation.comparing.wording import DASH, arrow, named
from imaxray.labeller import measured_agreement
from imaxray.report import Heading, Missing, Part, Picture, Section, Table, Text
from imaxray.report.figures import Row, intervals, metric_bars, svg
from imaxray.study.arms import folder_name
from imaxray.study.budget import compute_of
from imaxray.study.reporting.front import intervals_cover
from imaxray.study.reporting.material import Material
from imaxray.study.results.outcome import ModelOutcome


def results(material: Material) -> Section:
    """Return every view of the comparison of every model."""
    parts: list[Part] = []
    for model in material.outcome.models.values():
        parts += _of_model(material, model)
    parts.append(Text(measured_agreement().sentence(), soft=True))
    return Section("results", "Results", parts)


def _of_model(material: Material, model: ModelOutcome) -> list[Part]:
    of_model = f"{model.name}: " if material.several else ""
    layouts = {arm.layout for arm in material.config.arms.values() if arm.is_trained}
    same = "in the same layout" if len(layouts) == 1 else "in the layouts that the names say"
    reference = material.config.reference
    parts: list[Part] = [
        Heading(f"{of_model}Equal entries seen"),
        Text(
            "All arms took the same number of optimizer steps over the same number of entries, "
            f"{same}. An untrained arm took none.",
            soft=True,
        ),
        *_view(material, model, "entries", model.equal_entries.as_dict()),
    ]
    parts.append(Heading(f"{of_model}Equal compute"))
    if model.equal_compute is None:
        parts.append(Missing("Equal compute", "no arm of this study has budget: compute."))
        return parts
    of_reference = {reference: model.runs[material.config.reference]}
    if compute_of(of_reference)[1] == "operations":
        said = (
            f"An arm of equal compute trained with as many floating-point operations as "
            f"{reference}, {same}. Its number of steps follows from the operations that were "
            "counted in finished runs on the same data; decoding images, evaluating and measuring "
            "the dynamics are not counted for any arm. The section on speed has the seconds."
        )
    else:
        cpu = model.clock.height and model.clock["clock"][0] == "cpu"
        time = "on the processor" if cpu else "on the clock"
        said = (
            f"An arm of equal compute trained for the time {time} that {reference} took, {same}. "
            "Its number of steps follows from the speed of finished runs on the same data. The "
            "time for measuring the dynamics is not counted for any arm."
        )
    parts.append(Text(said, soft=True))
    return [*parts, *_view(material, model, "compute", model.equal_compute.as_dict())]


def _view(
    material: Material, model: ModelOutcome, view: str, comparison: Mapping[str, Any]
) -> list[Part]:
    name = f"{folder_name(model.name)}-{view}" if material.several else f"equal-{view}"
    others = [arm for arm in comparison["arms"] if arm != comparison["reference"]]
    level = f"{100 * comparison['level']:.0f} %"
    parts: list[Part] = [
        Picture(
            svg(
                metric_bars(comparison),
                f"Primary metric of each task, {name}",
                " ".join(
                    f"{row['task']}, {row['metric']}: "
                    + ", ".join(f"{arm} {interval_text(c)}" for arm, c in row["arms"].items())
                    + f"; constant {number_text(row['constant'])}."
                    for row in comparison["tasks"]
                ),
            ),
            f"Primary metric of each task with {level} confidence intervals. The dotted line is "
            "the best constant answer, which ignores the image.",
        ),
        _table(name, comparison, others),
    ]
    shown = {material.main, material.compute}
    for arm in others:
        if not material.several and arm in shown and view == "entries":
            continue  # the first screen has it
        parts.append(forest(comparison, arm))
    parts.append(Text(intervals_cover(material, comparison), soft=True))
    parts.append(_other_metrics(name, comparison))
    return parts


def forest(comparison: Mapping[str, Any], arm: str) -> Picture:
    """Return the forest plot of one arm over the reference."""
    reference = comparison["reference"]
    rows = [
        Row(f"{row['task']} ({row['metric']})", {arm: row["gains"][arm]})
        for row in comparison["tasks"]
    ]
    rows.append(Row("mean", {arm: comparison["mean_gain"][arm]}, True))
    drawn = intervals(rows, f"relative gain of {arm} over {reference}, %", zero="", scale=100,
                      form="+z.1f")  # fmt: skip
    told = " ".join(f"{row.label}: {percent_text(row.cells[arm])}." for row in rows)  # type: ignore[arg-type]
    return Picture(
        svg(drawn, f"Relative gain of {arm} over {reference}", told),
        f"Relative gain of {arm} over {reference}. If it is positive, {named(arm)} is better.",
    )


def _table(name: str, comparison: Mapping[str, Any], others: list[str]) -> Table:
    from imaxray.evaluation import Comparison

    head = ["task", "metric", "entries", "constant"]
    for arm in comparison["arms"]:
        head += [arm, f"invalid, {arm}"]
    for arm in others:
        head += [f"gain of {arm}", "p (Holm)"]
    rows = []
    for row in comparison["tasks"]:
        cells = [
            row["task"], f"{row['metric']} {arrow(row['higher_is_better'])}",
            f"{row['entries']:,}", number_text(row["constant"]),
        ]  # fmt: skip
        for arm in comparison["arms"]:
            cells += [interval_text(row["arms"][arm]), _share(row["arms"][arm]["invalid"])]
        for arm in others:
            cells += [percent_text(row["gains"][arm]), number_text(row["p_holm"].get(arm))]
        rows.append(cells)
    foot = ["mean", "relative gain", "", "", *([""] * 2 * len(comparison["arms"]))]
    for arm in others:
        foot += [percent_text(comparison["mean_gain"][arm]), ""]
    return Table(
        f"results-{name}",
        "All arms on each task: primary metric with its interval, share of unreadable answers, "
        "relative gain, and p-value of the difference, corrected over the tasks.",
        head, rows, [foot], texts=2, frame=Comparison(comparison).to_frame(),  # type: ignore[arg-type]
    )  # fmt: skip


def _share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


def _other_metrics(name: str, comparison: Mapping[str, Any]) -> Table:
    rows, raw = [], []
    for row in comparison["tasks"]:
        for metric, arms in row["others"].items():
            rows.append([
                row["task"], metric, *(interval_text(arms[arm]) for arm in comparison["arms"]),
            ])  # fmt: skip
            raw += [
                {"task": row["task"], "metric": metric, "arm": arm, **arms[arm]}
                for arm in comparison["arms"]
            ]
    return Table(
        f"other-metrics-{name}", "All other metrics", ["task", "metric", *comparison["arms"]],
        rows, texts=2, folded=True,
        frame=pl.DataFrame(raw, infer_schema_length=None) if raw else None,
    )  # fmt: skip


def models(material: Material) -> Section:
    """Return the gains of every model on every task, and the line over models."""
    table = material.outcome.table
    if table is None:
        return Section(
            "models", "Models",
            [Missing("The table over models", "the study has one model.")],
        )  # fmt: skip
    parts: list[Part] = []
    for line in table.over:
        tasks, cells = table.cells(line)
        blank = [""] * (len(tasks) - 1)
        foot = [["all models", *blank, line.text()]]
        if line.stated is not None:
            foot.append(["the paper states, for other models and data", *blank, line.stated])
        view = line.view.replace(" ", "-")
        parts.append(
            Table(
                f"models-{view}-{folder_name(line.arm)}",
                f"Relative gain of {line.arm} over {table.reference} at {line.view}",
                ["model", *tasks],
                [[model, *row] for model, row in cells.items()],
                foot,
                frame=table.frame.filter(view=line.view, arm=line.arm),
            )
        )
        if line.arm == material.main:
            parts.append(_tasks_by_model(material, line.view, line.arm))
    parts += [Text(line) for line in table.sentences()]
    return Section("models", "Models", parts)


def _tasks_by_model(material: Material, view: str, arm: str) -> Picture:
    table = material.outcome.table
    assert table is not None
    part = table.frame.filter(pl.col("task") != "mean", view=view, arm=arm)
    rows = []
    for task in part["task"].unique(maintain_order=True):
        cells: dict[str, Mapping[str, Any] | None] = {
            row["model"]: None if row["gain"] is None else {**row, "value": row["gain"]}
            for row in part.filter(task=task).iter_rows(named=True)
        }
        rows.append(Row(task, cells))
    drawn = intervals(
        rows, f"relative gain of {arm} over {table.reference}, %", zero="", scale=100,
        form="+z.1f",
    )  # fmt: skip
    return Picture(
        svg(drawn, f"Relative gain of {arm} on each task, by model",
            "The table above has the same numbers."),
        f"Relative gain of {arm} over {table.reference} on each task, one line per model.",
    )  # fmt: skip


def factors(material: Material) -> Section:
    """Return the effect of data and layout as two factors."""
    title = "Data × layout"
    parts: list[Part] = []
    for model in material.outcome.models.values():
        if not model.layouts:
            continue
        if material.several:
            parts.append(Heading(model.name))
        parts += _of_factors(material, model)
    if not parts:
        parts = [
            Missing(
                "The effect of the layout",
                "no two arms of this study differ in their layout alone (packed and separate).",
            )
        ]
    return Section("layout", title, parts)


def _of_factors(material: Material, model: ModelOutcome) -> list[Part]:
    data = model.equal_entries.as_dict()
    arms = material.config.arms
    rows: list[Row] = []
    raw: list[dict[str, Any]] = []
    reference = material.config.reference
    for effect in model.layouts:
        for arm in (effect.arm, effect.other):
            block, runs = arms[arm], model.runs[arm]
            gain: Mapping[str, Any] | None = (
                {"value": 0.0, "low": None, "high": None}
                if arm == reference
                else data["mean_gain"].get(arm)
            )
            rows.append(Row(f"{block.data}, {block.layout}", {block.layout: gain}))
            raw.append({
                "model": model.name, "data": block.data, "layout": block.layout, "arm": arm,
                "entries_per_second": sum(r["entries_per_second"] for r in runs) / len(runs),
                "tokens_per_entry": sum(r["tokens_seen"] / r["entries_seen"] for r in runs)
                / len(runs),
                "gain": None if gain is None else gain["value"],
                "low": None if gain is None else gain["low"],
                "high": None if gain is None else gain["high"],
            })  # fmt: skip
    drawn = intervals(
        rows, f"mean relative gain over {reference} at equal entries, %", zero="", scale=100,
        form="+z.1f",
    )  # fmt: skip
    told = " ".join(
        f"{row.label}: {percent_text(cell)}."  # type: ignore[arg-type]
        for row in rows for cell in row.cells.values()
    )  # fmt: skip
    cells = [
        [r["data"], r["layout"], r["arm"], f"{r['entries_per_second']:.0f}",
         f"{r['tokens_per_entry']:.1f}",
         "reference" if r["arm"] == reference else percent_text(
             None if r["gain"] is None else {"value": r["gain"], "low": r["low"], "high": r["high"]}
         )]
        for r in raw
    ]  # fmt: skip
    return [
        Picture(
            svg(drawn, f"Mean relative gain by data and layout, {model.name}", told),
            "Data and layout as two factors: the layout should change the speed and not the result "
            "at equal entries.",
        ),
        Table(
            f"layout-{folder_name(model.name)}",
            f"Arms by data and layout, relative to {reference}",
            ["data", "layout", "arm", "entries/s", "tokens per entry", "mean gain"],
            cells, texts=3, frame=pl.DataFrame(raw),
        ),
        *(
            Text(
                f"The layout alone, on the data of {effect.data}: {effect.arm} trains "
                f"{effect.speed:.2f} times as many entries per second as {effect.other}, and its "
                "mean relative gain over it at equal entries is "
                f"{percent_text(effect.comparison.mean_gain(effect.arm))}."
            )
            for effect in model.layouts
        ),
    ]  # fmt: skip
