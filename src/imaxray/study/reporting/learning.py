"""Makes the section of learning curves, at equal entries and at equal compute, and of speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray.evaluation import number_text
from imaxray.report import Heading, Missing, Part, Picture, Section, Table, Text, attempted
from imaxray.report.figures import Line, lines, svg
from imaxray.schema import task_names
from imaxray.study.budget import training_seconds
from imaxray.study.reporting.material import Material
from imaxray.study.results.outcome import ModelOutcome
from imaxray.training import read_curve, read_evaluations

ENTRIES: Final = {"entries_seen": "entries seen"}
OPERATIONS: Final = {"operations": "10¹² floating-point operations"}
SECONDS: Final = {"seconds": "seconds of computing"}


def learning(material: Material) -> Section:
    """Return validation and training losses of all runs over entries and over compute."""
    runs = [run for m in material.outcome.models.values() for r in m.runs.values() for run in r]
    compute = OPERATIONS if all("operations" in run for run in runs) else SECONDS
    [unit] = compute.values()
    parts: list[Part] = [
        Text(
            "Equal entries are equal places on the axis of entries; equal compute is an equal "
            f"place on the axis of {unit.removeprefix('10¹² ')}. Losses of different tasks are not "
            "comparable. Who is ahead is decided by the scores of whole answers, not by the loss "
            "of their tokens; the two may disagree.",
            soft=True,
        )
    ]
    for model in material.outcome.models.values():
        if material.several:
            parts.append(Heading(model.name))
        make = partial(_curves, material, model, {**ENTRIES, **compute})
        parts += attempted("Learning curves", make)
    parts.append(Heading("Speed"))
    parts += [_speed(material), *_clock(material)]
    return Section("learning", "Learning curves and speed", parts)


Points = list[dict[str, Any]]


def _curves(material: Material, model: ModelOutcome, axes: Mapping[str, str]) -> list[Part]:
    training: dict[str, list[Points]] = {}
    validation: dict[str, list[Points]] = {}
    for arm, runs in model.runs.items():
        for seed, run in zip(material.config.training_seeds, runs, strict=False):
            folder = material.run(model, arm, seed)
            points = _read(folder, run)
            training.setdefault(arm, []).append(points)
            known = _validated(folder, points)
            if known:
                validation.setdefault(arm, []).append(known)
    if not training:
        return [Missing("Learning curves", f"no arm of {model.name} was trained.")]
    parts: list[Part] = []
    if validation:
        parts.append(_picture(
            {
                f"over {label}": _lines(validation, x, None) for x, label in axes.items()
            },
            "",
            "validation loss", "Validation loss of the arms", _last(validation, None),
            "Loss on validation entries: left at equal entries, right at equal compute. Bands "
            "reach from the lowest to the highest seed.",
            columns=2, height=2.8,
        ))  # fmt: skip
    else:
        parts.append(Missing("The validation loss", "the study does not set training.eval_every."))
    tasks = [t for t in task_names() if any(t in p["losses"] for s in training.values()
                                            for points in s for p in points)]  # fmt: skip
    for x, label in axes.items():
        parts.append(_picture(
            {task: _lines(training, x, task) for task in tasks}, label, "loss",
            f"Training loss of each task over {label}",
            " ".join(_last(training, task) for task in tasks),
            f"Training loss of each task over {label}.", log=True,
        ))  # fmt: skip
    return parts


def _share(run: Mapping[str, Any]) -> float:
    """Return the factor from seconds of the clock to the seconds that equal compute counts."""
    seconds, _ = training_seconds(run)  # type: ignore[arg-type]
    return seconds / run["seconds"] if run["seconds"] else 1.0


def _read(folder: Path, run: Mapping[str, Any]) -> Points:
    """Return the learning curve of a run; operations are counted in proportion to its entries."""
    factor = _share(run)
    each = run.get("operations", 0) / run["entries_seen"] / 1e12 if run["entries_seen"] else 0.0
    points = read_curve(folder, advice=_again(folder))
    return [
        {
            **point,
            "seconds": point["seconds"] * factor,
            "operations": point["entries_seen"] * each,
        }
        for point in points
    ]


def _again(folder: Path) -> str:
    return f"remove {folder}, so that the run is repeated"


def _validated(folder: Path, points: Points) -> Points:
    at = {point["step"]: point for point in points}
    found = read_evaluations(folder, advice=_again(folder))
    return [
        {
            "entries_seen": at[v["step"]]["entries_seen"],
            "seconds": at[v["step"]]["seconds"],
            "operations": at[v["step"]]["operations"],
            "loss": v["loss"],
        }
        for v in found
        if v["step"] in at
    ]


def _lines(runs: Mapping[str, Sequence[Points]], x: str, task: str | None) -> list[Line]:
    return [
        Line(
            arm,
            [
                [
                    (float(p[x]), float(p["loss"] if task is None else p["losses"][task]))
                    for p in points
                    if task is None or task in p["losses"]
                ]
                for points in seeds
            ],
        )
        for arm, seeds in runs.items()
    ]


def _last(runs: Mapping[str, Sequence[Points]], task: str | None) -> str:
    ends = []
    for arm, seeds in runs.items():
        values = [
            points[-1]["loss"] if task is None else points[-1]["losses"].get(task)
            for points in seeds
            if points
        ]
        known = [value for value in values if value is not None]
        if known:
            ends.append(f"{arm} {sum(known) / len(known):.3f}")
    return f"At the end{'' if task is None else f', {task}'}: {', '.join(ends)}."


def _picture(
    panels: Mapping[str, Sequence[Line]],
    x_label: str,
    y_label: str,
    title: str,
    told: str,
    caption: str,
    **options: Any,
) -> Picture:
    return Picture(svg(lines(panels, x_label, y_label, **options), title, told), caption)


def _speed(material: Material) -> Table:
    rows, raw = [], []
    for name, model in material.outcome.models.items():
        for arm, runs in model.runs.items():
            for seed, run in zip(material.config.training_seeds, runs, strict=False):
                cells = {
                    "model": name, "arm": arm, "seed": seed, "layout": run["identity"]["layout"],
                    "entries_seen": run["entries_seen"], "seconds": run["seconds"],
                    "entries_per_second": run["entries_per_second"],
                    "tokens_per_entry": run["tokens_seen"] / run["entries_seen"],
                }  # fmt: skip
                raw.append(cells)
                rows.append([
                    *([name] if material.several else []), arm, str(cells["layout"]), str(seed),
                    f"{cells['entries_seen']:,}", f"{cells['seconds']:.0f}",
                    f"{cells['entries_per_second']:.0f}", f"{cells['tokens_per_entry']:.1f}",
                ])  # fmt: skip
    head = ["arm", "layout", "seed", "entries seen", "seconds passed", "entries/s",
            "tokens per entry"]  # fmt: skip
    return Table(
        "speed",
        "Speed of training of each run; the seconds that passed include those in which other work "
        "had the processor",
        (["model"] if material.several else []) + head, rows,
        texts=3 if material.several else 2, frame=pl.DataFrame(raw) if raw else None,
        folded=len(rows) > 12,
    )  # fmt: skip


def _clock(material: Material) -> list[Part]:
    tables = [
        model.clock.select(pl.lit(name).alias("model"), pl.all())
        for name, model in material.outcome.models.items()
    ]
    frame = pl.concat(tables)
    if frame.is_empty():
        return []
    rows = [
        [
            *([row["model"]] if material.several else []), row["arm"], str(row["seed"]),
            f"{row['seconds']:.0f}", f"{row['share']:.2f}", f"{row['entries_then']:,}",
            number_text(row["loss_then"]),
        ]
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    head = ["arm", "seed", "seconds of computing", "share of the reference", "entries seen then",
            "validation loss then"]  # fmt: skip
    return [
        Table(
            "clock", "What each run had reached at the time at which the reference had finished",
            (["model"] if material.several else []) + head, rows,
            texts=2 if material.several else 1, frame=frame, folded=len(rows) > 12,
        )
    ]  # fmt: skip
