"""Makes the section about single answers: grades, ratios, boxes, findings and invalid answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.evaluation import Interval, interval_text
from imaxray.evaluation.comparing.groups import box_sizes
from imaxray.evaluation.comparing.resampling import interval, over_seeds, patient_draws
from imaxray.metrics import Floats, ratio
from imaxray.report import Heading, Missing, Part, Picture, Table, Text, attempted
from imaxray.report.figures import Row, confusion, differences, intervals, svg
from imaxray.schema import FINDINGS
from imaxray.study.arms import folder_name
from imaxray.study.reporting.material import WITHHELD, Material
from imaxray.study.results.outcome import ModelOutcome
from imaxray.tasks import from_json, get_task

_RESAMPLES: Final = 1000
_EXAMPLES: Final = 5
"""Number of unreadable answers that are shown for each arm and task."""

Joined = Mapping[str, Sequence[pl.DataFrame]]
"""Arm → answers of each seed, joined with their test entries."""


def answers(material: Material) -> list[Part]:
    """Return the answers of all models in detail."""
    parts: list[Part] = [
        Text(
            "Answers of " + ", ".join(material.detailed) + " to the test questions"
            + ("" if len(material.config.training_seeds) == 1
               else "; counts and values are over all seeds, points are of the first seed")
            + ".",
            soft=True,
        )
    ]  # fmt: skip
    for model in material.outcome.models.values():
        if material.several:
            parts.append(Heading(model.name))
        parts += attempted("Single answers", lambda model=model: _of_model(material, model))  # type: ignore[misc]
    return parts


def _of_model(material: Material, model: ModelOutcome) -> list[Part]:
    gold = material.test.select("entry_id", "prompt", "template", pl.col("answer").alias("gold"))
    joined = {
        arm: [table.join(gold, on="entry_id", maintain_order="left")
              for table in material.answers(model.name, arm)]
        for arm in material.detailed
    }  # fmt: skip
    key = f"-{folder_name(model.name)}" if material.several else ""
    tasks = set(material.test["task"])
    makers: dict[str, tuple[str, Callable[[Material, Joined, str], list[Part]]]] = {
        "grading": ("The confusion of grades", _grades),
        "calculation": ("The agreement of ratios", _ratios),
        "rec": ("IoU by size of the box", _boxes),
        "findings": ("F1 of each finding", _findings),
    }
    parts: list[Part] = []
    for task, (what, make) in makers.items():
        parts += (
            make(material, joined, key)
            if task in tasks
            else [Missing(what, f"the test split has no entries of the task {task}.")]
        )
    return [*parts, *_invalid(material, model, key)]


def _pairs(joined: Joined, task: str) -> dict[str, list[tuple[list[Any], list[Any], list[str]]]]:
    """Return gold answers, answers and patients of each seed."""
    found = {}
    for arm, tables in joined.items():
        found[arm] = [
            (
                [from_json(text) for text in part["gold"]],
                [None if text is None else from_json(text) for text in part["answer"]],
                part["patient_id"].to_list(),
            )
            for part in (table.filter(task=task) for table in tables)
        ]
    return found


def _grades(material: Material, joined: Joined, key: str) -> list[Part]:
    del material
    task = get_task("grading")
    matrices: dict[str, list[list[int]]] = {}
    names: Mapping[str, Any] = {}
    for arm, seeds in _pairs(joined, "grading").items():
        metric = task.primary
        statistics = np.concatenate([metric.matrix(gold, answer) for gold, answer, _ in seeds])
        names = task.details({metric.name: statistics})["confusion"]
        matrices[arm] = names["counts"]
    rows = [
        [arm, names["gold"][number], *(f"{n:,}" for n in line)]
        for arm, counts in matrices.items()
        for number, line in enumerate(counts)
    ]
    raw = [
        {"arm": arm, "truth": names["gold"][g], "answer": names["answer"][a], "count": n}
        for arm, counts in matrices.items()
        for g, line in enumerate(counts)
        for a, n in enumerate(line)
    ]
    told = " ".join(f"{row[0]}, truth {row[1]}: {', '.join(row[2:])}." for row in rows)
    return [
        Heading("Grades of edema"),
        Picture(
            svg(confusion(matrices, names["gold"], names["answer"]),
                f"Confusion of grades{key}", told),
            "Rows are true grades, columns are answers; the shade is the share of the row.",
        ),
        Table(
            f"grades{key}", "Confusion of grades", ["arm", "truth", *names["answer"]], rows,
            texts=2, frame=pl.DataFrame(raw), folded=True,
        ),
    ]  # fmt: skip


def _ratios(material: Material, joined: Joined, key: str) -> list[Part]:
    del material
    points: dict[str, list[tuple[float, float]]] = {}
    limits: dict[str, tuple[float, float, float]] = {}
    bias, half = (get_task("calculation").metric(name) for name in ("bias", "limits of agreement"))
    rows, raw = [], []
    for arm, seeds in _pairs(joined, "calculation").items():
        golds = [value for gold, _, _ in seeds for value in gold]
        given = [value for _, answer, _ in seeds for value in answer]
        centre, width = bias(golds, given), half(golds, given)
        read = [(g, a) for g, a in zip(*seeds[0][:2], strict=True) if a is not None]
        raw += [{"arm": arm, "truth": g, "answer": a} for g, a in read]
        known = sum(value is not None for value in given)
        rows.append([
            arm, f"{known:,}", f"{len(given) - known:,}",
            *(f"{x:+z.3f}" if np.isfinite(x) else "–"
              for x in (centre, centre - width, centre + width)),
        ])  # fmt: skip
        if read and np.isfinite(centre) and np.isfinite(width):
            points[arm] = read
            limits[arm] = (centre - width, centre, centre + width)
    table = Table(
        f"ratios{key}", "Answer minus truth: bias and limits of agreement",
        ["arm", "readable", "unreadable", "bias", "lower limit", "upper limit"], rows,
        frame=pl.DataFrame(raw) if raw else None,
    )  # fmt: skip
    head: list[Part] = [Heading("Ratios")]
    if not points:
        return [*head, Missing("The plot of differences", "too few answers are readable."), table]
    told = " ".join(f"{row[0]}: bias {row[3]}, limits {row[4]} to {row[5]}." for row in rows)
    return [
        *head,
        Picture(
            svg(differences(points, limits, "ratio"), f"Bland-Altman plot of ratios{key}", told),
            "Answer minus truth over their mean (Bland and Altman 1986). The solid line is the "
            "bias, and the dashed lines are the 95 % limits of agreement; unreadable answers are "
            "left out. The CSV file has the points.",
        ),
        table,
    ]


def _boxes(material: Material, joined: Joined, key: str) -> list[Part]:
    task = get_task("rec")
    sizes = box_sizes(material.test.filter(pl.col("task") == "rec"), material.imax.tables.images)
    metric = task.primary
    cells: dict[str, dict[str, Interval]] = {size: {} for size in sizes}
    for arm, tables in joined.items():
        for size, ids in sizes.items():
            parts = [t.filter(pl.col("entry_id").is_in(ids), task="rec") for t in tables]
            statistics = [
                metric.matrix(
                    [from_json(g) for g in part["gold"]],
                    [None if a is None else from_json(a) for a in part["answer"]],
                )
                for part in parts
            ]
            cells[size][arm] = _bootstrap(material, statistics, parts[0]["patient_id"].to_list(),
                                          ratio)  # fmt: skip
    rows = [Row(f"{size} of the image ({len(sizes[size])})", cells[size]) for size in sizes]
    if not rows:
        return [Missing("IoU by size of the box", "no entry has a box.")]
    return _interval_parts(
        f"iou{key}", "IoU by size of the box", "mean IoU", rows,
        "Mean IoU of located boxes by the share of the image that the true box covers, with the "
        "number of entries.",
    )  # fmt: skip


def _findings(material: Material, joined: Joined, key: str) -> list[Part]:
    metric = get_task("findings").metric("macro F1")
    cells: dict[str, dict[str, Interval]] = {}
    positives: dict[str, int] = {}
    for arm, seeds in _pairs(joined, "findings").items():
        statistics = [metric.matrix(gold, answer) for gold, answer, _ in seeds]
        counts = statistics[0].sum(axis=0).reshape(-1, 3)
        for number, label in enumerate(FINDINGS):
            true = int(counts[number, 0] + counts[number, 2])
            if not true:
                continue
            positives[label] = true
            own = [matrix.reshape(len(matrix), -1, 3)[:, number] for matrix in statistics]
            cells.setdefault(label, {})[arm] = _bootstrap(material, own, seeds[0][2], _f1)
    if not cells:
        return [Missing("F1 of each finding", "no finding is present in the test split.")]
    order = sorted(cells, key=lambda label: (-positives[label], label))
    rows = [Row(f"{label} ({positives[label]:,})", cells[label]) for label in order]
    return _interval_parts(
        f"findings{key}", "F1 of each finding", "F1", rows,
        "F1 of each finding that is present in the test split, with the number of test images "
        "that have it.",
    )  # fmt: skip


def _f1(sums: Floats) -> Floats:
    true, false, missed = sums[..., 0], sums[..., 1], sums[..., 2]
    total = 2 * true + false + missed
    return np.divide(2 * true, total, out=np.full_like(true, np.nan), where=total > 0)


def _bootstrap(
    material: Material,
    statistics: Sequence[Floats],
    patients: Sequence[str],
    value: Callable[[Floats], Floats],
) -> Interval:
    """Return a value with its interval over patients and seeds, as comparisons compute it."""
    evaluation = material.config.evaluation
    names = sorted(set(patients))
    place = {name: number for number, name in enumerate(names)}
    group: NDArray[np.intp] = np.array([place[name] for name in patients], dtype=np.intp)
    if not len(group):
        return {"value": None, "low": None, "high": None}
    draws = patient_draws(len(names), min(_RESAMPLES, evaluation.resamples), material.config.seed)
    values = []
    for matrix in statistics:
        sums = np.zeros((len(names), matrix.shape[1]))
        np.add.at(sums, group, matrix)
        values.append(value(draws @ sums))
    random = np.random.default_rng([material.config.seed, 1])
    return interval(over_seeds(np.stack(values), random), evaluation.level)


def _interval_parts(
    name: str, title: str, label: str, rows: Sequence[Row], caption: str
) -> list[Part]:
    shown = [
        Row(row.label, {arm: _measured(cell) for arm, cell in row.cells.items()}) for row in rows
    ]
    arms = list(dict.fromkeys(arm for row in rows for arm in row.cells))
    raw = [
        {"group": row.label, "arm": arm, **(cell or {})}
        for row in rows for arm, cell in row.cells.items()
    ]  # fmt: skip
    cells = [[row.label, *(interval_text(row.cells.get(arm)) for arm in arms)] for row in rows]
    told = " ".join(
        f"{row[0]}: {', '.join(f'{a} {c}' for a, c in zip(arms, row[1:], strict=True))}."
        for row in cells
    )
    return [
        Heading(title),
        Picture(svg(intervals(shown, label, from_zero=True), f"{title}, {name}", told), caption),
        Table(name, title, ["", *arms], cells, frame=pl.DataFrame(raw, infer_schema_length=None),
              folded=True),
    ]  # fmt: skip


def _measured(cell: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a cell without values that were not measurable."""
    if cell is None or cell["value"] is None or not np.isfinite(cell["value"]):
        return None
    known = all(cell[k] is not None and np.isfinite(cell[k]) for k in ("low", "high"))
    return cell if known else {"value": cell["value"], "low": None, "high": None}


def _invalid(material: Material, model: ModelOutcome, key: str) -> list[Part]:
    """Return how many answers of every arm cannot be read, with examples where that is allowed."""
    tables = {arm: material.answers(model.name, arm) for arm in material.config.arms}
    tasks = material.test["task"].unique(maintain_order=True).to_list()
    rows, raw, examples = [], [], []
    for arm, seeds in tables.items():
        every = pl.concat(seeds)
        for task in tasks:
            part = every.filter(task=task)
            bad = part.filter(pl.col("answer").is_null())
            share = bad.height / part.height if part.height else 0.0
            rows.append([arm, task, f"{part.height:,}", f"{bad.height:,}", f"{100 * share:.1f} %"])
            raw.append({"arm": arm, "task": task, "answers": part.height, "invalid": bad.height})
            texts = bad.sort("entry_id")["text"].unique(maintain_order=True)[:_EXAMPLES]
            examples += [[arm, task, _short(text)] for text in texts]
    total = sum(row["invalid"] for row in raw)
    parts: list[Part] = [
        Heading("Invalid answers"),
        Text(
            "An answer that cannot be read counts as wrong. "
            + (f"{total:,} of {sum(r['answers'] for r in raw):,} answers cannot be read."
               if total else "All answers can be read.")
        ),
        Table(
            f"invalid{key}", "Answers that cannot be read", ["arm", "task", "answers", "invalid",
            "share"], rows, texts=2, frame=pl.DataFrame(raw), folded=len(rows) > 14,
        ),
    ]  # fmt: skip
    if not total:
        return parts
    if not material.shown:
        return [*parts, Missing("The text of invalid answers", f"{WITHHELD}.")]
    return [
        *parts,
        Table(f"invalid-examples{key}", "Answers that cannot be read, as they were given",
              ["arm", "task", "answer"], examples, texts=3),
    ]  # fmt: skip


def _short(text: str | None) -> str:
    if not text:
        return "(nothing)"
    return text if len(text) <= 200 else f"{text[:200]} …"
