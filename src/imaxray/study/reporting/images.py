"""Makes the section of test images: the worst, the most changed, and some that nobody picked."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import polars as pl

from imaxray.boxes import PERCENT, BoxConvention, split_boxes
from imaxray.cache import ImageStore
from imaxray.evaluation.comparing.wording import named
from imaxray.evaluation.generation import stored_answers
from imaxray.report import Answer, Example, Gallery, Missing, Part, Question, Text, thumbnail
from imaxray.report.figures import css_colour
from imaxray.study.places import answer_folder
from imaxray.study.reporting.material import WITHHELD, Material
from imaxray.tasks import get_task

_FEWEST: Final = 2
"""Number of test entries that an image needs to be called worst or most changed."""


def images(material: Material) -> list[Part]:
    """Return test images with all their questions and the answers of the arms."""
    if not material.shown:
        return [Missing("Test images with questions and answers", f"{WITHHELD}.")]
    main = material.main or material.config.reference
    name = material.outcome.only.name
    arms = material.detailed
    tables = {arm: material.answers(name, arm)[0] for arm in arms}
    folders = {
        arm: answer_folder(
            material.run(material.outcome.only, arm, material.config.training_seeds[0])
        )
        for arm in arms
    }
    conventions = {arm: stored_answers(folder).convention for arm, folder in folders.items()}
    image_of = ImageStore(material.imax)
    chosen = _chosen(material, tables, main)
    examples = [
        _example(material, image_id, why, tables, conventions, thumbnail(image_of(image_id)))
        for image_id, why in chosen
    ]
    seed = material.config.training_seeds[0]
    of_model = f" of {name}" if material.several else ""
    several = len(material.config.training_seeds) > 1
    return [
        Text(
            f"Answers{of_model}{f' of the first seed, {seed}' if several else ''}. Worst: the "
            f"images on which {named(main)} ranks lowest, as the mean over their entries of the "
            "rank of each score among all answers to its task. Most changed: those whose mean rank "
            f"differs most between {named(main)} and {named(material.config.reference)}. Picked by "
            "hash: a hash of the image ids chose them, nobody did. Boxes of the truth are solid "
            "and green; boxes of arms are dashed, in the colours of their names.",
            soft=True,
        ),
        Gallery(examples, {arm: css_colour(arm, arms) for arm in arms}),
    ]


def _chosen(
    material: Material, tables: dict[str, pl.DataFrame], main: str
) -> list[tuple[str, str]]:
    """Return image ids with the reason for each: worst, most changed and by hash, in turn."""
    ranks = _ranks(tables)
    of_main = ranks.filter(arm=main)
    counted = of_main.filter(pl.col("entries") >= min(_FEWEST, _most(of_main)))
    worst = counted.sort("rank", "image_id").select("image_id", "rank").rows()
    lists: dict[str, list[tuple[str, str]]] = {
        "worst": [(image, f"Worst (mean rank {100 * rank:.0f} %)") for image, rank in worst]
    }
    reference = material.config.reference
    if main != reference:
        both = counted.join(
            ranks.filter(arm=reference).select("image_id", pl.col("rank").alias("other")),
            on="image_id",
        ).with_columns((pl.col("rank") - pl.col("other")).alias("change"))
        ordered = both.sort(pl.col("change").abs(), "image_id", descending=[True, False])
        lists["changed"] = [
            (image, f"Most changed (mean rank {100 * change:+.0f} points)")
            for image, change in ordered.select("image_id", "change").rows()
        ]
    # most tasks first, so that the examples show as many of them as possible
    per_image = material.test.group_by("image_id").agg(pl.col("task").n_unique().alias("tasks"))
    by_hash = sorted(per_image.iter_rows(), key=lambda row: (-row[1], _mix(row[0])))
    lists["hash"] = [(image, "Picked by hash") for image, _ in by_hash]
    found: dict[str, str] = {}
    queues = [iter(queue) for queue in lists.values()]
    while queues and len(found) < material.shown:
        for queue in list(queues):
            image, why = next(((i, w) for i, w in queue if i not in found), (None, ""))
            if image is None:
                queues.remove(queue)
            elif len(found) < material.shown:
                found[image] = why
    order = list(found.items())
    return sorted(order, key=lambda item: (item[1].split(" ")[0] != "Worst",
                                           item[1].startswith("Picked")))  # fmt: skip


def _most(of_main: pl.DataFrame) -> int:
    most: Any = of_main["entries"].max()
    return int(most or 0)


def _ranks(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the mean rank of the answers to each image, from 0 (worst) to 1, for each arm."""
    parts = []
    for arm, table in tables.items():
        tasks = table["task"].unique().to_list()
        signs = {t: 1.0 if get_task(t).primary.higher_is_better else -1.0 for t in tasks}
        sign = pl.col("task").replace_strict(signs, return_dtype=pl.Float64)
        parts.append(
            table.select(
                pl.lit(arm).alias("arm"), "image_id", "task",
                (sign * pl.col("score").fill_nan(None)).alias("good"),
            )
        )  # fmt: skip
    every = pl.concat(parts).with_columns(
        ((pl.col("good").rank("average").over("task") - 0.5) / pl.len().over("task")).alias("rank")
    )
    return every.group_by("arm", "image_id").agg(
        pl.col("rank").mean().round(9), pl.len().alias("entries")
    )


def _example(
    material: Material,
    image_id: str,
    why: str,
    tables: dict[str, pl.DataFrame],
    conventions: dict[str, BoxConvention],
    png: str,
) -> Example:
    image = material.imax.tables.images.row(by_predicate=pl.col("image_id") == image_id, named=True)
    size = (image["width"], image["height"])
    rows = material.test.filter(pl.col("image_id") == image_id).sort("task", "entry_id")
    questions = []
    for entry in rows.iter_rows(named=True):
        shown, gold = split_boxes(entry["prompt"], entry["target"], entry["boxes"] or []) or (
            [],
            [],
        )
        answers = []
        for arm, table in tables.items():
            text = table.row(by_predicate=pl.col("entry_id") == entry["entry_id"], named=True)[
                "text"
            ]
            answers.append(Answer(arm, text or "", conventions[arm].extract(text or "", *size)[1]))
        questions.append(
            Question(
                entry["task"],
                PERCENT.fill(entry["prompt"], shown, *size),
                PERCENT.fill(entry["target"], gold, *size),
                gold,
                answers,
            )
        )
    return Example(image_id, why, png, *size, questions)


def _mix(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
