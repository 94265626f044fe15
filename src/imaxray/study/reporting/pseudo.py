"""Makes the section about annotations that no person made: origins, yields and calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.state import read_state
from imaxray.curation import Dataset, open_dataset
from imaxray.derive.run import REPORT as DERIVE
from imaxray.evaluation import number_text
from imaxray.evaluation.comparing.wording import DASH
from imaxray.pseudo.folder import REPORT
from imaxray.report import Heading, Missing, Part, Picture, Table, Text, attempted
from imaxray.report.figures import agreement, grouped_bars, svg
from imaxray.schema import task_names
from imaxray.study.arms import folder_name
from imaxray.study.places import dataset_folder
from imaxray.study.reporting.material import Material

_FILTERS: Final = ("none", "confidence", "consistency", "both", "balance")


def origins(material: Material) -> list[Part]:
    """Return who stated the train entries of each arm, and what the filters of pseudo IMAX kept."""
    folders = {
        arm: dataset_folder(material.out, block)
        for arm, block in material.config.arms.items()
        if block.is_trained
    }
    by_folder: dict[Path, list[str]] = {}
    for arm, folder in folders.items():
        by_folder.setdefault(folder, []).append(arm)
    parts: list[Part] = []
    pseudo = derived = False
    opened: dict[str, Dataset] = {}
    for folder, arms in by_folder.items():
        name = ", ".join(arms)

        def read(folder: Path = folder, name: str = name) -> list[Part]:
            opened[name] = open_dataset(folder)
            return []

        parts += attempted(f"The data of {name}", read)
    parts = [*_by_origin(opened), *parts]
    for name, dataset in opened.items():
        if (dataset.folder / REPORT).is_file():
            pseudo = True
            parts += attempted(
                f"The yields of {name}",
                lambda n=name, d=dataset: _yields(n, d),  # type: ignore[misc]
            )
        if (dataset.folder / DERIVE).is_file():
            derived = True
            parts += attempted(
                f"The derived entries of {name}",
                lambda n=name, d=dataset: _derived(n, d),  # type: ignore[misc]
            )
    if not derived:
        parts.append(
            Missing("Yields of derived entries", "no arm of this study trains on derived entries.")
        )
    if not pseudo:
        parts += [
            Missing("Yields of pseudo annotations", "no arm of this study trains on pseudo IMAX."),
            Missing(
                "Calibration",
                "only pseudo annotations record the confidence of an answer; no arm trains on "
                "them.",
            ),
        ]
    return parts


def _by_origin(opened: Mapping[str, Dataset]) -> list[Part]:
    """Return how many train entries rest on statements of people, programs and models."""
    if not opened:
        return []
    grades = pl.col("quality").fill_null("unknown").str.split("+")
    origin = grades.list.eval(pl.element().str.split("/").list.first()).list.unique().list.sort()
    frame = pl.concat(
        dataset.tables.split("train")
        .select("task", origin.list.join(" + ").alias("origin"))
        .group_by("task", "origin").len("entries")
        .select(pl.lit(name).alias("arms"), "task", "origin", "entries")
        for name, dataset in opened.items()
    ).sort("arms", "task", "origin")  # fmt: skip
    kinds = sorted(set(frame["origin"]))
    rows = []
    for name in opened:
        for task in (t for t in task_names() if t in set(frame.filter(arms=name)["task"])):
            part = dict(frame.filter(arms=name, task=task).select("origin", "entries").iter_rows())
            rows.append([name, task, *(f"{part.get(kind, 0):,}" for kind in kinds)])
    return [
        Text(
            "Human: a person stated it. Silver: a program did, e.g. from a report. Derived: a rule "
            "computed it from other facts. Pseudo: a model answered. An entry that rests on "
            "several facts has several origins.",
            soft=True,
        ),
        Table(
            "origins", "Train entries by origin", ["arms", "task", *kinds], rows, texts=2,
            frame=frame,
        ),
    ]  # fmt: skip


def _derived(name: str, dataset: Dataset) -> list[Part]:
    """Return how many entries each rule derived, and how many of them are right if that is known.

    A dataset that was derived states it in the file that ``imaxray derive`` wrote.
    """
    report: dict[str, Any] = read_state(dataset.folder / DERIVE, advice="derive the entries again")
    yields: list[dict[str, Any]] = report["yields"]
    counts: Mapping[str, int] = report["counts"]["derived"]
    real: Mapping[str, int] = report["counts"]["real"]
    tasks = [task for task in task_names() if task in counts or task in real]
    panel = {
        "real": {task: float(real.get(task, 0)) for task in tasks},
        "derived": {task: float(counts.get(task, 0)) for task in tasks},
    }
    drawn = grouped_bars({f"train entries of {name}": panel}, "entries", size=(9.0, 2.8))
    told = " ".join(
        f"{task}: {real.get(task, 0):,} real, {counts.get(task, 0):,} derived." for task in tasks
    )
    return [
        Heading(f"Derived entries of {name}"),
        Picture(
            svg(drawn, f"Real and derived entries, {name}", told),
            "Train entries that the releases state, and those that rules derived from them.",
        ),
        Table(
            f"derived-{folder_name(name)}",
            f"Derived entries by rule, {name}",
            ["rule", "task", "entries", "judged", "precision"],
            [
                [row["rule"], row["task"], f"{row['entries']:,}", f"{row['judged'] or 0:,}",
                 number_text(row["precision"])]
                for row in yields
            ],
            texts=2,
            frame=pl.DataFrame(yields, infer_schema_length=None) if yields else None,
        ),
    ]  # fmt: skip


def _yields(name: str, dataset: Dataset) -> list[Part]:
    report: dict[str, Any] = read_state(
        dataset.folder / REPORT, advice="filter the pseudo annotations again"
    )
    yields: list[dict[str, Any]] = report["yields"]
    key = folder_name(name)
    tasks = [t for t in task_names() if any(row["task"] == t for row in yields)]
    shown = [f for f in _FILTERS if any(row["filter"] == f for row in yields)]
    share = {
        (row["task"], row["filter"]): 100 * row["kept"] / row["candidates"]
        for row in yields if row["candidates"]
    }  # fmt: skip
    panel = {f: {t: share.get((t, f), 0.0) for t in tasks} for f in shown}
    rows = [
        [row["task"], row["filter"], f"{row['candidates']:,}", f"{row['kept']:,}",
         DASH if row["precision"] is None else f"{row['precision']:.3f}"]
        for row in yields
    ]  # fmt: skip
    drawn = grouped_bars({f"share of the candidates of {name} that are kept": panel}, "%",
                         size=(9.0, 2.8))  # fmt: skip
    told = " ".join(f"{t}, {f}: {v:.0f} %." for f, bars in panel.items() for t, v in bars.items())
    parts: list[Part] = [
        Heading(f"Pseudo annotations of {name}"),
        Text(f"{report['kept']:,} candidates are kept; dropped: "
             + (", ".join(f"{c} {n:,}" for c, n in report["dropped"].items()) or "none") + "."),
        Picture(svg(drawn, f"Yields of the filters, {name}", told),
                "Share of the candidates that each filter keeps, by task."),
        Table(f"yields-{key}", f"Yields of the filters, {name}",
              ["task", "filter", "candidates", "kept", "precision"], rows, texts=2,
              frame=pl.DataFrame(yields, infer_schema_length=None)),
    ]  # fmt: skip
    return [*parts, *_calibration(name, report.get("thresholds"))]


def _calibration(name: str, thresholds: Mapping[str, Any] | None) -> list[Part]:
    """Return the fitted curve of each task and its threshold."""
    if thresholds is None:
        return [Missing(f"The calibration of {name}", "its confidence was not filtered.")]
    curves: dict[str, list[tuple[float, float, int]]] = {}
    rows = []
    for task, found in thresholds["tasks"].items():
        if found["slope"] is not None and found["intercept"] is not None:
            curves[task] = [
                (x / 20, _right(found["slope"], found["intercept"], x / 20), found["judged"])
                for x in range(1, 21)
            ]
        rows.append([
            task, found["says"], f"{found['judged']:,}", f"{found['right']:,}",
            DASH if found["threshold"] is None else f"{found['threshold']:.3f}",
            DASH if found["precision"] is None else f"{found['precision']:.3f}",
        ])  # fmt: skip
    parts: list[Part] = [Heading(f"Calibration of {name}")]
    if curves:
        told = " ".join(
            f"{task}: at confidence 0.5 {points[9][1]:.2f}, at 1.0 {points[-1][1]:.2f}."
            for task, points in curves.items()
        )
        parts.append(Picture(
            svg(agreement(curves, "confidence of an answer", "fitted share of right answers"),
                f"Calibration of {name}", told),
            "Share of right answers to validation questions over the confidence of the model, as "
            "fitted for each task; the dotted line is perfect calibration.",
        ))  # fmt: skip
    parts.append(Table(
        f"calibration-{folder_name(name)}",
        f"Confidence thresholds of each task; requested precision {thresholds['precision']:g}",
        ["task", "result", "judged", "right", "threshold", "precision"], rows, texts=2,
    ))  # fmt: skip
    return parts


def _right(slope: float, intercept: float, confidence: float) -> float:
    return 1 / (1 + math.exp(-(slope * math.log(confidence) + intercept)))
