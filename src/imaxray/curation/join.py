"""Join per image: what all releases say of one, in one place; what has no place, rejected."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from imaxray.schema import ANNOTATIONS, FRONTAL, REJECTS, Boxes, conform
from imaxray.sources import SourceTables

_KEY = ["source", "file", "row"]
_STRENGTH = pl.col("origin").replace_strict(
    {"human": 0, "silver": 1, "pseudo": 2}, default=3, return_dtype=pl.Int8
)


def join_images(tables: Sequence[SourceTables]) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """All images, each once, sorted by id; a second row for an image is a reject."""
    images = pl.concat([t.images for t in tables]).with_row_index("_order")
    kept = images.unique("image_id", keep="first", maintain_order=True)
    again = images.join(kept, on="_order", how="anti")
    rejects = _reject(again, "image_id", "duplicate-image", "the image is already in the catalog")
    return kept.drop("_order").sort("image_id"), [rejects]


def join_annotations(
    tables: Sequence[SourceTables], images: pl.DataFrame, dropped: pl.DataFrame
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """All annotations that belong to an image of ``images``, sorted.

    A fact about a study goes to each of its frontal images. Boxes are cut to the image's frame.
    Exact repetitions are rejects, and so is the weaker of two values for one thing (human before
    silver before pseudo, then by source name).

    Args:
        tables: as the sources returned them.
        images: the images that stay.
        dropped: ids of images that the catalog rejected (column image_id, study_id).
    """
    rows = pl.concat([t.annotations for t in tables])
    by_image = rows.filter(pl.col("image_id").is_not_null())
    by_study = rows.filter(pl.col("image_id").is_null())
    rejects: list[pl.DataFrame] = []

    placed = by_image.join(images.select("image_id"), on="image_id", how="semi")
    lost = by_image.join(images.select("image_id"), on="image_id", how="anti")
    gone = pl.col("image_id").is_in(dropped["image_id"].to_list())
    rejects += [
        _reject(lost.filter(gone), "image_id", "image-rejected", "the image was rejected"),
        _reject(lost.filter(~gone), "image_id", "unknown-image", "no release gives the image"),
    ]

    frontal = images.filter(pl.col("view").is_in(FRONTAL), pl.col("study_id").is_not_null())
    spread = by_study.drop("image_id").join(
        frontal.select("image_id", "study_id"), on="study_id", how="inner"
    )
    left = by_study.join(frontal.select("study_id").unique(), on="study_id", how="anti")
    studies = pl.concat([images.select("study_id"), dropped.select("study_id")]).unique()
    known = left.join(studies, on="study_id", how="semi")
    unknown = left.join(studies, on="study_id", how="anti")
    rejects += [
        _reject(known, "study_id", "no-frontal-image", "the study has no frontal image"),
        _reject(unknown, "study_id", "unknown-study", "no release gives the study"),
    ]

    facts = pl.concat([conform(placed.drop("study_id"), ANNOTATIONS),
                       conform(spread.drop("study_id"), ANNOTATIONS)])  # fmt: skip
    facts, outside = _clip(facts, images)
    facts, repeated = _unique(facts)
    facts, weaker = _settle(facts)
    return facts, [*rejects, outside, repeated, weaker]


def _clip(facts: pl.DataFrame, images: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut boxes to the frame; an annotation none of whose boxes is left is a reject."""
    boxed = facts.filter(pl.col("boxes").is_not_null())
    plain = facts.filter(pl.col("boxes").is_null())
    numbered = boxed.with_row_index("_fact").join(
        images.select("image_id", "width", "height"), on="image_id", how="left"
    )
    corners = numbered.select("_fact", "width", "height", "boxes").explode("boxes").with_columns(
        pl.col("boxes").list.get(0).clip(lower_bound=0).alias("x1"),
        pl.col("boxes").list.get(1).clip(lower_bound=0).alias("y1"),
        pl.min_horizontal(pl.col("boxes").list.get(2), "width").alias("x2"),
        pl.min_horizontal(pl.col("boxes").list.get(3), "height").alias("y2"),
    )  # fmt: skip
    inside = corners.filter((pl.col("x1") < pl.col("x2")) & (pl.col("y1") < pl.col("y2")))
    cut = (
        inside.select(
            "_fact", pl.concat_list("x1", "y1", "x2", "y2").cast(Boxes.inner).alias("box")
        )
        .group_by("_fact", maintain_order=True)
        .agg(pl.col("box").alias("cut"))
    )
    kept = numbered.join(cut, on="_fact", how="inner", maintain_order="left").with_columns(
        pl.col("cut").alias("boxes")
    )
    outside = numbered.join(cut, on="_fact", how="anti")
    rejects = _reject(
        outside, "image_id", "box-outside-frame", "no part of the box is in the image"
    )
    return pl.concat([plain, kept.select(ANNOTATIONS.names())]), rejects


def _unique(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each statement of a source once, the human one first; phrases compare without case."""
    ordered = facts.sort(
        "image_id", "kind", "name", "source", _STRENGTH, "file", "row", "text", "boxes"
    )
    same = ordered.with_row_index("_order").with_columns(
        pl.col("text").str.to_lowercase().alias("_text"),
    )
    kept = same.unique(
        ["image_id", "kind", "name", "value", "_text", "boxes", "answers", "reader", "source"],
        keep="first",
        maintain_order=True,
    )
    again = same.join(kept, on="_order", how="anti")
    rejects = _reject(again, "image_id", "duplicate-annotation", "the source states it already")
    return kept.drop("_order", "_text"), rejects


def _settle(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One value for each measurement, grade, label and report section of an image."""
    single = pl.col("kind").is_in(["measurement", "grade", "label", "report"])
    ranked = facts.filter(single).sort(
        "image_id", "kind", "name", _STRENGTH, "source", "file", "row"
    )
    numbered = ranked.with_row_index("_order")
    first = numbered.unique(["image_id", "kind", "name"], keep="first", maintain_order=True)
    weaker = numbered.join(first, on="_order", how="anti")
    rejects = _reject(weaker, "image_id", "superseded", "a stronger source states another value")
    kept = pl.concat([first.drop("_order"), facts.filter(~single)])
    return kept.sort("image_id", "kind", "name", "source", "file", "row", "text", "boxes"), rejects


def _reject(rows: pl.DataFrame, key: str, code: str, message: str) -> pl.DataFrame:
    frame = rows.select(
        *_KEY,
        pl.col(key).alias("key"),
        pl.lit(code).alias("code"),
        pl.lit(message).alias("message"),
    )
    return conform(frame, REJECTS)
