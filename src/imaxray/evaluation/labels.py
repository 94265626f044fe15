"""Compares the report labeller with the labels that the releases give for the same reports."""

from __future__ import annotations

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.labeller import Agreement, labeller_agreement
from imaxray.schema import CHEXPERT


def labeller_on(annotations: pl.DataFrame) -> Agreement:
    """Return the agreement over the images that have both a report and labels.

    All sections of an image's report are joined to one text. If an image states a label several
    times, the statement with the strongest origin counts.

    Args:
        annotations: Annotations of the dataset, schema ANNOTATIONS.

    Raises:
        ImaxrayError: If no image has both a report and labels.
    """
    reports = (
        annotations.filter(pl.col("kind") == "report", pl.col("text").is_not_null())
        .with_columns(pl.col("name").cast(pl.String))
        .sort("image_id", "name", "origin")
        .unique(["image_id", "name"], keep="first", maintain_order=True)
        .group_by("image_id", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )
    labels = (
        annotations.filter(pl.col("kind") == "label")
        .with_columns(pl.col("name").cast(pl.String))
        .filter(pl.col("name").is_in(CHEXPERT), pl.col("value").is_not_null())
        .sort("image_id", "name", "origin")
        .unique(["image_id", "name"], keep="first", maintain_order=True)
        .group_by("image_id", maintain_order=True)
        .agg("name", pl.col("value").cast(pl.Int64))
    )
    both = reports.join(labels, on="image_id", how="inner", maintain_order="left")
    if both.is_empty():
        raise ImaxrayError(
            "Expected images with both a report and labels, but the dataset has none; name a "
            "dataset that was built from releases with both (mimic-cxr and mimic-cxr-jpg)."
        )
    given = [
        dict(zip(names, values, strict=True))
        for names, values in both.select("name", "value").iter_rows()
    ]
    return labeller_agreement(both["text"].to_list(), given)
