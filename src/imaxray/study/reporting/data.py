"""Makes the sections about the data: density, answers of both arms, and the account of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from imaxray.curation import Dataset, density
from imaxray.curation.selecting.strata import with_strata
from imaxray.evaluation.comparing.wording import DASH
from imaxray.report import Part, Picture, Table, Text
from imaxray.report.figures import grouped_bars, lying_bars, sets, svg
from imaxray.schema import task_names
from imaxray.study.reporting.material import Material

_MOST_SETS: Final = 16
"""Number of combinations of tasks that the figure shows; the table has all of them."""

_MOST_STRATA: Final = 14
"""Number of answer bins of a task that the figure shows; the table has all of them."""


def data(material: Material) -> list[Part]:
    """Return how densely both arms are annotated, and which tasks occur together."""
    arms = {"imax": material.imax, "dmax": material.dmax}
    match = material.outcome.match
    return [
        *_densities(arms, match),
        *_sets(arms),
        *_per_image(arms),
        Text(
            "The distance of answers is the total variation distance between the arms' answer "
            "strata; it is 0 if they are matched exactly. "
            f"{match['shared_images']:,} images are in both arms. The limit of the spread: "
            f"{match['limit']}.",
            soft=True,
        ),
    ]


def _densities(arms: Mapping[str, Dataset], match: Mapping[str, Any]) -> list[Part]:
    found = {arm: asdict(density(dataset.tables)) for arm, dataset in arms.items()}
    tasks = list(next(iter(found.values()))["entries_per_task"])
    rows = [
        [
            arm, f"{d['images']:,}", f"{d['patients']:,}", f"{d['entries']:,}",
            f"{d['tasks_per_image']:.2f}", f"{d['entries_per_image']:.2f}",
            *(f"{n:,}" for n in d["entries_per_task"].values()),
        ]
        for arm, d in found.items()
    ]  # fmt: skip
    distances = match["distance"]
    foot = [
        "distance of answers", "", "", "", "", "",
        *(f"{distances[task]:.3f}" if task in distances else DASH for task in tasks),
    ]  # fmt: skip
    raw = [
        {"arm": arm, **{k: d[k] for k in ("images", "patients", "entries", "tasks_per_image",
                                          "entries_per_image")}, **d["entries_per_task"]}
        for arm, d in found.items()
    ]  # fmt: skip
    return [
        Table(
            "density", "Train entries of both arms: images, density, and entries of each task",
            ["data", "images", "patients", "entries", "tasks per image", "entries per image",
             *tasks], rows, [foot], frame=pl.DataFrame(raw),
        )
    ]  # fmt: skip


def _sets(arms: Mapping[str, Dataset]) -> list[Part]:
    counts: dict[frozenset[str], Counter[str]] = {}
    for arm, dataset in arms.items():
        of_images = dataset.tables.split("train").group_by("image_id").agg(pl.col("task").unique())
        for tasks in of_images["task"].to_list():
            counts.setdefault(frozenset(tasks), Counter())[arm] += 1
    if not counts:
        return []
    order = {task: number for number, task in enumerate(task_names())}
    ranked = sorted(
        counts.items(),
        key=lambda item: (-item[1].total(), sorted(order.get(t, 99) for t in item[0])),
    )
    shown = ranked[:_MOST_SETS]
    tasks = [task for task in task_names() if any(task in has for has, _ in ranked)]
    in_order = [sorted(has, key=lambda t: order.get(t, 99)) for has, _ in ranked]
    told = " ".join(
        f"{' + '.join(has)}: {', '.join(f'{arm} {n[arm]:,}' for arm in arms)}."
        for has, (_, n) in zip(in_order[:6], shown, strict=False)
    )
    return [
        Picture(
            svg(sets(shown, tasks), "Which tasks occur together on one train image", told),
            "Which tasks occur together on one train image: each column is a combination of tasks "
            "(dots) with its number of images (bars)"
            + (f"; the {len(shown)} most frequent of {len(ranked)}." if len(ranked) > len(shown)
               else "."),
        ),
        Table(
            "task-combinations", "Combinations of tasks on one train image, by number of images",
            ["tasks", *arms],
            [[" + ".join(has), *(f"{n[arm]:,}" for arm in arms)]
             for has, (_, n) in zip(in_order, ranked, strict=True)],
            frame=pl.DataFrame([
                {"tasks": "+".join(has), **{arm: n[arm] for arm in arms}}
                for has, (_, n) in zip(in_order, ranked, strict=True)
            ]),
            folded=True,
        ),
    ]  # fmt: skip


def _per_image(arms: Mapping[str, Dataset]) -> list[Part]:
    panels: dict[str, dict[str, dict[str, float]]] = {}
    raw: list[dict[str, Any]] = []
    for what, expression in (
        ("entries per image", pl.len()),
        ("tasks per image", pl.col("task").n_unique()),
    ):
        counts = {
            arm: dict(
                dataset.tables.split("train").group_by("image_id").agg(expression.alias("n"))
                .group_by("n").len().sort("n").iter_rows()
            )
            for arm, dataset in arms.items()
        }  # fmt: skip
        most = max((n for found in counts.values() for n in found), default=0)
        step = max(1, -(-most // 20))  # at most twenty bars per arm
        binned: dict[str, dict[str, float]] = {}
        for arm, found in counts.items():
            bars: dict[str, float] = {_bin(low, step): 0.0 for low in range(1, most + 1, step)}
            for n, images in found.items():
                bars[_bin(1 + (n - 1) // step * step, step)] += images
                raw.append({"quantity": what, "data": arm, "value": n, "images": images})
            binned[arm] = bars
        panels[what] = binned
    if not raw:
        return []
    drawn = grouped_bars(panels, "train images", columns=2, size=(4.8, 2.6))
    told = " ".join(
        f"{row['quantity']} {row['value']}: {row['images']:,} images of {row['data']}."
        for row in raw[:40]
    )
    return [
        Picture(
            svg(drawn, "Entries and tasks per train image", told),
            "How many train images have how many entries and tasks.",
        ),
        Table(
            "per-image", "Train images by number of entries and of tasks",
            ["quantity", "data", "number", "images"],
            [[r["quantity"], r["data"], f"{r['value']}", f"{r['images']:,}"] for r in raw],
            texts=2, frame=pl.DataFrame(raw), folded=True,
        ),
    ]  # fmt: skip


def _bin(low: int, step: int) -> str:
    return str(low) if step == 1 else f"{low}-{low + step - 1}"


def distributions(material: Material) -> list[Part]:
    """Return the answers of both arms by task, in the strata in which they are matched."""
    arms = {"imax": material.imax, "dmax": material.dmax}
    frames = [
        with_strata(dataset.tables.split("train"))
        .group_by("task", "stratum").len("entries")
        .select(pl.lit(arm).alias("data"), "task", "stratum", "entries")
        for arm, dataset in arms.items()
    ]  # fmt: skip
    frame = pl.concat(frames).with_columns(
        (pl.col("entries") / pl.col("entries").sum().over("data", "task")).alias("share")
    )
    panels: dict[str, dict[str, dict[str, float]]] = {}
    for task in (t for t in task_names() if t in set(frame["task"])):
        part = frame.filter(task=task).with_columns(
            pl.col("stratum").str.strip_prefix(f"{task}.").alias("label")
        )
        largest = (
            part.group_by("label").agg(pl.col("entries").sum())
            .sort("entries", "label", descending=[True, False])["label"].to_list()
        )  # fmt: skip
        shown = sorted(largest[:_MOST_STRATA])
        heads = {label.partition(".")[0] for label in shown}
        short = {label: label if len(heads) > 1 else label.partition(".")[2] for label in shown}
        panels[task] = {
            arm: {
                short[label]: 100 * sum(part.filter(data=arm, label=label)["share"].to_list())
                for label in shown
            }
            for arm in arms
        }
    if not panels:
        return []
    drawn = lying_bars(panels, "% of entries")
    frame = frame.sort("task", "stratum", "data")
    distance = material.outcome.match["distance"]
    told = " ".join(f"{task}: distance {value:.3f}." for task, value in sorted(distance.items()))
    return [
        Picture(
            svg(drawn, "Answers of IMAX and DMAX by task", told),
            "Answers of the train entries of both arms, in the bins in which they are matched; the "
            f"{_MOST_STRATA} largest bins of each task.",
        ),
        Table(
            "answers", "Train entries by answer bin", ["data", "task", "bin", "entries", "share"],
            [[r["data"], r["task"], r["stratum"], f"{r['entries']:,}", f"{100 * r['share']:.1f} %"]
             for r in frame.iter_rows(named=True)],
            texts=3, frame=frame, folded=True,
        ),
    ]  # fmt: skip


def account(material: Material) -> list[Part]:
    """Return how many rows of each release were kept and rejected, and why."""
    tables = material.imax.tables
    counts = tables.rejects.group_by("source", "code").len("rows").sort(
        "source", "rows", "code", descending=[False, True, False]
    )  # fmt: skip
    rows = tables.account.select("source", "file", "rows_in", "kept", "rejected")
    return [
        Table(
            "account", "Rows of every file of every release",
            ["source", "file", "rows in", "kept", "rejected"],
            [[str(s), str(f), *(f"{n:,}" for n in ns)] for s, f, *ns in rows.iter_rows()],
            texts=2, frame=rows,
        ),
        Table(
            "rejects", "Rejected rows and items by reason", ["source", "code", "rows and items"],
            [[str(s), str(c), f"{n:,}"] for s, c, n in counts.iter_rows()],
            texts=2, frame=counts, folded=True,
        ),
    ]  # fmt: skip
