"""Clips boxes to the frame of their image."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from imaxray.schema import REJECTS, Boxes, conform


def clip_boxes(facts: pl.DataFrame, images: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clip every box to ``[0, width] × [0, height]``.

    A box that lies completely outside the frame is a reject ``box-outside-frame``. An annotation
    keeps its other boxes; it is dropped if no box is left.

    Args:
        facts: Schema ANNOTATIONS, and ``_image``, the position of the image in ``images``.
        images: Schema IMAGES.

    Returns:
        The annotations in their order, and rejects.
    """
    numbered = facts.with_row_index("_fact")
    boxed = numbered.filter(pl.col("boxes").is_not_null()).select("_fact", "_image", "boxes")
    nothing = conform(facts.head(0).select("source", "file", "row"), REJECTS)
    if boxed.is_empty():
        return facts, nothing
    corners = boxed["boxes"].rechunk().to_arrow().flatten().flatten()
    flat = corners.to_numpy(zero_copy_only=False).reshape(-1, 4)
    owner = np.repeat(np.arange(boxed.height), boxed["boxes"].list.len().to_numpy())
    image = boxed["_image"].to_numpy()[owner]
    edge = np.stack([images["width"].to_numpy()[image], images["height"].to_numpy()[image]], axis=1)
    over = ((flat[:, :2] < 0) | (flat[:, 2:] > edge) | (flat[:, :2] >= flat[:, 2:])).any(axis=1)
    if not over.any():
        return facts, nothing
    # Few boxes reach beyond the frame, so only their annotations are rebuilt.
    touched = np.unique(owner[over])
    mine = np.isin(owner, touched)
    low, high = np.maximum(flat[mine, :2], 0.0), np.minimum(flat[mine, 2:], edge[mine])
    inside = (low < high).all(axis=1)
    owned = np.searchsorted(touched, owner[mine])
    left = np.bincount(owned[inside], minlength=len(touched))
    rows = boxed["_fact"].gather(touched)
    anew = (
        numbered.filter(pl.col("_fact").is_in(rows.implode()))
        .with_columns(_lists(np.concatenate([low, high], axis=1)[inside], left))
        .filter(pl.Series(left > 0))
    )
    others = numbered.filter(~pl.col("_fact").is_in(rows.implode()))
    kept = pl.concat([others, anew]).sort("_fact").drop("_fact")
    lost = facts[rows.gather(owned[~inside])].select(
        "source",
        "file",
        "row",
        pl.col("image_id").alias("key"),
        pl.lit("box-outside-frame").alias("code"),
        pl.lit("no part of the box is in the image").alias("message"),
    )
    return kept, conform(lost, REJECTS)


def _lists(corners: NDArray[np.float64], counts: NDArray[np.int64]) -> pl.Series:
    """Convert corners of shape (n, 4) to one list of boxes per row, with ``counts`` boxes each."""
    values = np.ascontiguousarray(corners).reshape(-1)
    inner = pa.LargeListArray.from_arrays(
        np.arange(0, len(values) + 1, 4, dtype=np.int64), pa.array(values)
    )
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return pl.Series("boxes", pa.LargeListArray.from_arrays(ends, inner), dtype=Boxes)
