"""Cut boxes to the image's frame."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from imaxray.schema import REJECTS, Boxes, conform


def clip_boxes(facts: pl.DataFrame, images: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut every box to ``[0, width] × [0, height]``.

    A box of which nothing is left is a reject ``box-outside-frame``; the annotation goes with its
    last box and stays with the others.

    Args:
        facts: schema ANNOTATIONS, and ``_image``, the position of the image in ``images``.
        images: schema IMAGES.

    Returns:
        The annotations in their order, and rejects.
    """
    boxed = facts.with_row_index("_fact").filter(pl.col("boxes").is_not_null())
    if boxed.is_empty():
        return facts, conform(facts.head(0).select("source", "file", "row"), REJECTS)
    lists = boxed["boxes"].rechunk().to_arrow()
    counts = boxed["boxes"].list.len().to_numpy()
    corners = lists.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    owner = np.repeat(np.arange(boxed.height), counts)
    image = boxed["_image"].to_numpy()[owner]
    edge = np.stack([images["width"].to_numpy()[image], images["height"].to_numpy()[image]], axis=1)
    low = np.maximum(corners[:, :2], 0.0)
    high = np.minimum(corners[:, 2:], edge)
    inside = (low < high).all(axis=1)
    left = np.bincount(owner[inside], minlength=boxed.height)
    cut = _lists(np.concatenate([low, high], axis=1)[inside], left)
    fact = boxed["_fact"].to_numpy()
    # most annotations keep all their boxes; only the others need new rows
    whole = pl.DataFrame({"_fact": boxed["_fact"], "_cut": cut, "_left": left})
    merged = facts.with_row_index("_fact").join(
        whole, on="_fact", how="left", maintain_order="left"
    )
    kept = merged.filter(pl.col("_left").is_null() | (pl.col("_left") > 0)).with_columns(
        pl.col("_cut").alias("boxes")
    )
    lost = fact[owner[~inside]]
    rejects = facts[lost].select(
        "source",
        "file",
        "row",
        pl.col("image_id").alias("key"),
        pl.lit("box-outside-frame").alias("code"),
        pl.lit("no part of the box is in the image").alias("message"),
    )
    return kept.select(facts.columns), conform(rejects, REJECTS)


def _lists(corners: NDArray[np.float64], counts: NDArray[np.int64]) -> pl.Series:
    """Corners (n, 4) as one list of boxes a row, ``counts`` boxes in each."""
    values = np.ascontiguousarray(corners).reshape(-1)
    inner = pa.LargeListArray.from_arrays(
        np.arange(0, len(values) + 1, 4, dtype=np.int64), pa.array(values)
    )
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return pl.Series("boxes", pa.LargeListArray.from_arrays(ends, inner), dtype=Boxes)
