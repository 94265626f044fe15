"""Judges the answers of arms: which boxes they name, and whether they are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from imaxray.boxes import PERCENT
from imaxray.evaluation.comparing.run_answers import RunAnswers
from imaxray.progress import progress_bar
from imaxray.pseudo.selecting.correct import correct
from imaxray.schema import ImageSize, image_sizes
from imaxray.tasks import RULES, from_json, get_task, read_answer, to_json

JUDGED: Final = pl.Schema(
    {
        "entry_id": pl.String,
        "image_id": pl.String,
        "arm": pl.String,
        "text": pl.String,
        "answer": pl.String,  # canonical JSON of the parsed answer; null if unreadable
        "right": pl.Boolean,  # null if the gold answer decides nothing
    }
)
"""Answers of all arms: one row per entry and arm."""


@dataclass(frozen=True)
class Judged:
    """Answers that were read, and what follows from them for each image.

    Attributes:
        table: Schema JUDGED, sorted by image, entry and arm.
        images: Column image_id; for each arm ``right K``, the share of its answers that are right
            (K is the number of the arm); and ``disagreements``, the number of entries that one arm
            answers right and another wrong.
        arms: Names of the arms.
    """

    table: pl.DataFrame
    images: pl.DataFrame
    arms: tuple[str, ...]


def judge(
    arms: Mapping[str, RunAnswers],
    entries: pl.DataFrame,
    images: pl.DataFrame,
    told: Callable[[float], None] = lambda _: None,
) -> Judged:
    """Read the answers of arms to entries and decide which are right.

    An answer is right within the tolerances of :func:`imaxray.pseudo.selecting.correct.correct`.

    Args:
        arms: Name of an arm → its answers.
        entries: Entries that were answered, schema ENTRIES.
        images: Their images, schema IMAGES.
        told: Gets the share of the arms that were read, from 0 to 1.
    """
    sizes = image_sizes(images)
    parts = []
    with progress_bar("Reading answers", total=len(arms)) as bar:
        for name, answers in arms.items():
            parts.append(_of_arm(name, answers, entries, sizes))
            bar.advance()
            told(len(parts) / len(arms))
    table = pl.concat(parts or [pl.DataFrame(schema=JUDGED)])
    table = table.sort("image_id", "entry_id", maintain_order=True)
    return Judged(table, _per_image(table, list(arms)), tuple(arms))


def _of_arm(
    arm: str, answers: RunAnswers, entries: pl.DataFrame, sizes: Mapping[str, ImageSize]
) -> pl.DataFrame:
    first = answers.table.unique("entry_id", keep="first", maintain_order=True)
    texts = dict(first.select("entry_id", "text").iter_rows())
    convention = answers.convention or PERCENT
    rules = tuple(RULES) if answers.rules is None else answers.rules
    rows: list[tuple[Any, ...]] = []
    asked = entries.filter(pl.col("entry_id").is_in(list(texts)))
    for (name,), of_task in asked.group_by("task", maintain_order=True):
        task = get_task(str(name))
        for entry in of_task.iter_rows(named=True):
            text, size = texts[entry["entry_id"]], sizes[entry["image_id"]]
            gold = task.gold_of_options(from_json(entry["answer"]), entry["prompt"] or "")
            value = None
            if text is not None:
                value = read_answer(
                    task, text, entry["template"], prompt=entry["prompt"] or "",
                    convention=convention, size=size, rules=rules,
                ).value  # fmt: skip
            as_gold = None if value is None else task.as_gold(value, entry["template"])
            answer = None if as_gold is None else to_json(as_gold.answer)
            right = correct(task.name, answer, to_json(gold), entry["template"])
            rows.append((entry["entry_id"], entry["image_id"], arm, text, answer, right))
    return pl.DataFrame(rows, schema=JUDGED, orient="row")


def _per_image(table: pl.DataFrame, arms: list[str]) -> pl.DataFrame:
    shares = table.group_by("image_id", maintain_order=True).agg(
        pl.col("right").filter(pl.col("arm") == name).mean().cast(pl.Float32).alias(f"right {k}")
        for k, name in enumerate(arms)
    )
    differ = (
        table.drop_nulls("right")
        .group_by("image_id", "entry_id")
        .agg((pl.col("right").n_unique() > 1).alias("differ"))
        .group_by("image_id")
        .agg(pl.col("differ").sum().cast(pl.UInt16).alias("disagreements"))
    )
    return shares.join(differ, on="image_id", how="left", maintain_order="left").with_columns(
        pl.col("disagreements").fill_null(0)
    )
