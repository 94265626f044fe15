"""Makes the first screen: the verdict, the numbers that matter, and what was compared with what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from imaxray.curation import density
from imaxray.errors import ImaxrayError
from imaxray.evaluation import percent_text
from imaxray.evaluation.comparing.wording import DASH, ahead, named
from imaxray.report import Card, Part, Picture, Table, attempted
from imaxray.report.figures import UNDEFINED, Row, intervals, svg
from imaxray.study.arms import StudyArm
from imaxray.study.budget import training_seconds
from imaxray.study.reporting.material import Material
from imaxray.study.results.model_table import OverModels
from imaxray.study.results.outcome import ModelOutcome

EQUAL_ENTRIES = "equal entries"
EQUAL_COMPUTE = "equal compute"


def verdict(material: Material) -> str:
    """Say in one sentence which arm won and by how much, whichever it is."""
    reference, main = material.config.reference, material.main
    if main is None:
        return f"Only {named(reference)} was trained and tested, so nothing is compared."
    first = material.outcome.only
    if material.outcome.table is not None:
        over = _over(material, main)
        if over is not None:
            cell = {"value": over.mean, "low": over.low, "high": over.high}
            return (
                f"Over {over.models} models, {ahead(cell, named(main), named(reference))}: "  # type: ignore[arg-type]
                f"mean relative gain {over.text()} at {over.view}, above 0 for {over.ahead} of "
                f"{over.models}."
            )
        return f"No model has a relative gain of {named(main)} over {named(reference)}."
    view, comparison = _view(first, main)
    cell = comparison["mean_gain"][main]
    if cell is None:
        return (
            f"The relative gain of {named(main)} over {named(reference)} is undefined, because the "
            "scores of the reference are near zero on all tasks."
        )
    better, worse, _ = tally(comparison, main)
    said = ahead(cell, named(main), named(reference))
    told = (
        f"{said[0].upper()}{said[1:]} at {view}: mean relative gain {percent_text(cell)}, better "
        f"on {better} and worse on {worse} of {len(comparison['tasks'])} tasks"
    )
    if material.compute is None or first.equal_compute is None:
        return f"{told}."
    other = first.equal_compute.as_dict()["mean_gain"][material.compute]
    then = ahead(other, named(main), named(reference))
    return f"{told}; at {EQUAL_COMPUTE}, {then}: {percent_text(other)}."


def _over(material: Material, arm: str) -> OverModels | None:
    assert material.outcome.table is not None
    return next((line for line in material.outcome.table.over if line.arm == arm), None)


def _view(model: ModelOutcome, arm: str) -> tuple[str, Mapping[str, Any]]:
    """Return the comparison that holds an arm, with its name."""
    entries: Mapping[str, Any] = model.equal_entries.as_dict()
    if arm in entries["arms"] or model.equal_compute is None:
        return f"{EQUAL_ENTRIES} seen", entries
    return EQUAL_COMPUTE, model.equal_compute.as_dict()


def tally(comparison: Mapping[str, Any], arm: str) -> tuple[int, int, int]:
    """Count the tasks on which an arm is better, worse and undecided, by interval of difference."""
    better = worse = 0
    for row in comparison["tasks"]:
        cell = row["differences"][arm]
        if cell["low"] is None or cell["high"] is None:
            continue
        up, down = cell["low"] > 0, cell["high"] < 0
        better += up if row["higher_is_better"] else down
        worse += down if row["higher_is_better"] else up
    return better, worse, len(comparison["tasks"]) - better - worse


def cards(material: Material) -> list[Card]:
    """Return the four numbers that matter."""
    main = material.main
    found: list[Card] = []
    if main is not None:
        found += _gain_cards(material, main)
        found.append(_tally_card(material, main))
    found += _data_card(material)
    return found


def _gain_cards(material: Material, main: str) -> list[Card]:
    arms = {main: _seen(material, main)}
    if material.compute is not None:
        arms[material.compute] = f"at {EQUAL_COMPUTE}"
    found = []
    for arm, when in arms.items():
        if material.outcome.table is not None:
            line = _over(material, arm)
            cell: Mapping[str, Any] | None = (
                None if line is None else {"value": line.mean, "low": line.low, "high": line.high}
            )
        else:
            cell = _view(material.outcome.only, arm)[1]["mean_gain"][arm]
        value = DASH if cell is None else f"{100 * cell['value']:+z.1f} %"
        note = (
            "undefined: the reference is near zero"
            if cell is None
            else f"{_level(material)} interval {100 * cell['low']:+z.1f} to "
            f"{100 * cell['high']:+z.1f} %"
        )
        found.append(
            Card(value, f"mean relative gain over {named(material.config.reference)} {when}", note)
        )
    return found


def _level(material: Material) -> str:
    return f"{100 * material.config.evaluation.level:.0f} %"


def _seen(material: Material, arm: str) -> str:
    budget = material.config.arms[arm].budget
    return {
        "entries": f"at {EQUAL_ENTRIES}",
        "compute": f"at {EQUAL_COMPUTE}",
        "none": "without any training",
    }[budget]


def _tally_card(material: Material, main: str) -> Card:
    if material.outcome.table is not None:
        line = _over(material, main)
        value = DASH if line is None else f"{line.ahead} of {line.models}"
        note = (
            "" if line is None else f"sign test p = {line.p:.3f}; median {100 * line.median:+.1f} %"
        )
        return Card(value, f"models with a gain of {named(main)} above 0", note)
    comparison = _view(material.outcome.only, main)[1]
    better, worse, open_ = tally(comparison, main)
    return Card(
        f"{better} : {worse}",
        "tasks better : worse, by the interval of the difference",
        f"{open_} undecided of {len(comparison['tasks'])}",
    )


def _data_card(material: Material) -> list[Card]:
    try:
        dense, spread = density(material.imax.tables), density(material.dmax.tables)
    except (ImaxrayError, OSError):  # the section about the data says why
        return []
    return [
        Card(
            f"{dense.images:,} : {spread.images:,}",
            f"train images of IMAX : DMAX for {dense.entries:,} entries each",
            f"{dense.tasks_per_image:.2f} : {spread.tasks_per_image:.2f} tasks per image",
        )
    ]


def front_parts(material: Material) -> list[Part]:
    """Return the forest plot and the table of what was compared."""
    found: list[Part] = []
    if material.main is not None:
        found.append(_over_models(material) if material.several else _forest(material))
    found += attempted("What was compared", lambda: [compared_table(material)])
    return found


def _forest(material: Material) -> Picture:
    main, reference = material.main, material.config.reference
    assert main is not None
    model = material.outcome.only
    views = {main: _view(model, main)[1]}
    if material.compute is not None and model.equal_compute is not None:
        views[material.compute] = model.equal_compute.as_dict()
    first = views[main]
    rows = [
        Row(
            f"{task['task']} ({task['metric']})",
            {
                arm: next(t for t in view["tasks"] if t["task"] == task["task"])["gains"][arm]
                for arm, view in views.items()
            },
        )
        for task in first["tasks"]
    ]
    rows.append(Row("mean", {arm: view["mean_gain"][arm] for arm, view in views.items()}, True))
    drawn = intervals(
        rows,
        f"relative gain over {reference}, %",
        zero=f"← {named(reference)} better  {named(main)} better →",
        scale=100,
        form="+z.1f",
    )
    return Picture(
        svg(drawn, f"Relative gain over {named(reference)} on each task", _spoken(rows)),
        f"Relative gain over {named(reference)} on each task, with {_level(material)} intervals. "
        + intervals_cover(material, first)
        + UNDEFINED * any(not any(row.cells.values()) for row in rows),
    )


def intervals_cover(material: Material, comparison: Mapping[str, Any]) -> str:
    """Say what the intervals cover and what they do not."""
    seeds = len(material.config.training_seeds)
    said = (
        f"Intervals cover the choice of the {comparison['patients']:,} tested patients "
        f"({comparison['resamples']:,} paired resamples)"
    )
    if seeds == 1:
        return f"{said}, but not the choice of the one training seed."
    few = "; with fewer than five seeds they are still too narrow" if seeds < 5 else ""
    return f"{said} and of the {seeds} training seeds per arm{few}."


def _over_models(material: Material) -> Picture:
    table, main = material.outcome.table, material.main
    assert table is not None and main is not None
    reference = material.config.reference
    arms = [arm for arm in (main, material.compute) if arm is not None]
    means = table.frame.filter(pl.col("task") == "mean")
    rows = []
    for model in material.outcome.models:
        cells: dict[str, Mapping[str, Any] | None] = {}
        for arm in arms:
            part = means.filter(model=model, arm=arm)
            cell = part.to_dicts()[0] if part.height else None
            known = cell is not None and cell["gain"] is not None
            cells[arm] = {**cell, "value": cell["gain"]} if known and cell is not None else None
        rows.append(Row(model, cells))
    lines = {arm: _over(material, arm) for arm in arms}
    rows.append(
        Row(
            "all models",
            {
                arm: None if line is None
                else {"value": line.mean, "low": line.low, "high": line.high}
                for arm, line in lines.items()
            },
            strong=True,
        )
    )  # fmt: skip
    drawn = intervals(
        rows,
        f"mean relative gain over {reference}, %",
        zero=f"← {named(reference)} better  {named(main)} better →",
        scale=100,
        form="+z.1f",
    )
    return Picture(
        svg(drawn, f"Mean relative gain over {named(reference)} of each model", _spoken(rows)),
        f"Mean relative gain over {named(reference)} of each model, with {_level(material)} "
        "intervals; the interval over all models covers models, patients and seeds. "
        + intervals_cover(material, material.outcome.only.equal_entries.as_dict()),
    )


def _spoken(rows: list[Row]) -> str:
    return " ".join(
        f"{row.label}: "
        + "; ".join(f"{name} {percent_text(cell)}" for name, cell in row.cells.items())  # type: ignore[arg-type]
        + "."
        for row in rows
    )


def compared_table(material: Material) -> Table:
    """Return what each arm was trained on, how, and for how long."""
    rows, raw = [], []
    for arm, block in material.config.arms.items():
        seen, seconds = [], []
        for name, model in material.outcome.models.items():
            runs = model.runs[arm]
            seen.append(float(runs[0]["entries_seen"]) if runs else 0.0)
            seconds.append(sum(training_seconds(r)[0] for r in runs) / len(runs) if runs else 0.0)
            raw.append({
                "model": name,
                "arm": arm,
                "data": _data(block) if block.is_trained else "none",
                "layout": block.layout if block.is_trained else "none",
                "budget": block.budget,
                "seeds": len(material.config.training_seeds),
                "train_entries": runs[0].get("entries") if runs else None,
                "entries_seen": int(seen[-1]),
                "operations": runs[0].get("operations") if runs else None,
                "seconds": seconds[-1],
            })  # fmt: skip
        rows.append([
            arm, str(raw[-1]["data"]), str(raw[-1]["layout"]), _budget(block, material),
            _range(seen), _range(seconds),
        ])  # fmt: skip
    seeds = len(material.config.training_seeds)
    each = "arm and model" if material.several else "arm"
    clock = "seconds of the processor" if _on_cpu(material) else "seconds that passed"
    return Table(
        "compared",
        f"What was compared with what: {named(material.config.reference)} is the reference; "
        f"{seeds} training {'run' if seeds == 1 else 'runs'} per {each}, the same test questions "
        f"for all. The last column is the training in {clock}.",
        ["arm", "train data", "layout", "trained for", "entries seen", "seconds"],
        rows,
        texts=4,
        frame=pl.DataFrame(raw),
    )


def _range(values: list[float]) -> str:
    """Return the lowest and the highest value, e.g. over models.

    Example:
        >>> _range([1200.0]), _range([1200.0, 90.0])
        ('1,200', '90 to 1,200')
    """
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return low if low == high else f"{low} to {high}"


def _on_cpu(material: Material) -> bool:
    return all(m.clock["clock"].to_list() in ([], ["cpu"] * m.clock.height)
               for m in material.outcome.models.values())  # fmt: skip


def _data(block: StudyArm) -> str:
    if block.tasks_per_image is not None:
        return f"{block.data}, {block.tasks_per_image:g} tasks per image"
    return block.data if block.data in ("imax", "dmax") else block.data.rstrip("/").split("/")[-1]


def _budget(block: StudyArm, material: Material) -> str:
    reference = material.config.reference
    return {
        "entries": f"entries of {reference}",
        "compute": f"compute of {reference}",
        "none": "not trained",
    }[block.budget]
