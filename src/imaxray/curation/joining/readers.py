"""Combines the statements of several readers of an image into one by a named policy."""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imaxray.boxes import Box, iou
from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS, conform

_MESSAGE = "another reader's row stands for what the readers agree on"


class ReadersConfig(BaseModel):
    """Sets how annotations that name a ``reader`` become one.

    - For boxes, ``wbf`` is weighted boxes fusion (Solovyev et al. 2021) of the boxes of one
      finding, in which every reader has the same weight; ``union`` takes the hull of boxes that
      overlap; ``keep-all`` keeps the boxes of every reader.
    - For labels, ``majority`` takes the value that more readers state, or uncertain if they are
      even; ``any`` takes positive if at least one reader states it; ``keep-all`` keeps the labels
      of every reader.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    boxes: Literal["wbf", "union", "keep-all"] = "wbf"
    iou: float = Field(
        default=0.5, gt=0, lt=1, description="Minimum IoU at which two boxes become one."
    )
    labels: Literal["majority", "any", "keep-all"] = "majority"


def settle_readers(
    facts: pl.DataFrame, images: pl.DataFrame, config: ReadersConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Combine the annotations that name a reader; all other annotations stay unchanged.

    A combined annotation keeps the provenance of the row of one reader, and its ``quality`` says
    how many of the image's readers support it, e.g. ``wbf 2/3``. The rows of the other readers are
    rejects ``merged-readers``.

    Args:
        facts: Schema ANNOTATIONS, and ``_image``, the position of the image in ``images``.
        images: Schema IMAGES.
        config: Policies for boxes and labels.

    Raises:
        ImaxrayError: If boxes must be fused and the extra ``readers`` is not installed.
    """
    read = pl.col("reader").is_not_null()
    boxes = read & (pl.col("kind") == "region") & (pl.lit(config.boxes) != "keep-all")
    labels = read & (pl.col("kind") == "label") & (pl.lit(config.labels) != "keep-all")
    if not facts.select((boxes | labels).any()).item():
        return facts, conform(facts.head(0).select("source", "file", "row"), REJECTS)
    readers = dict(
        facts.filter(read).group_by("_image").agg(pl.col("reader").n_unique()).iter_rows()
    )
    settled = [
        _labels(facts.filter(labels), config),
        _boxes(facts.filter(boxes), images, readers, config),
    ]
    merged = pl.concat([frame.select(facts.columns) for frame in settled if frame.height])
    gone = facts.filter(boxes | labels).join(
        merged.select("source", "file", "row"), on=["source", "file", "row"], how="anti"
    )
    rejects = gone.select(
        "source",
        "file",
        "row",
        pl.col("image_id").alias("key"),
        pl.lit("merged-readers").alias("code"),
        pl.lit(_MESSAGE).alias("message"),
    )
    kept = pl.concat([facts.filter(~(boxes | labels)), merged])
    return kept.sort("_image", "kind", maintain_order=True), conform(rejects, REJECTS)


def _labels(facts: pl.DataFrame, config: ReadersConfig) -> pl.DataFrame:
    """Return one row per label: the row of the first reader who states the combined value."""
    yes, no = (pl.col("value") == 1).sum().over(_THING), (pl.col("value") == 0).sum().over(_THING)
    if config.labels == "any":
        value = pl.when(yes > 0).then(1.0).when(no > 0).then(0.0).otherwise(-1.0)
    else:
        value = pl.when(yes > no).then(1.0).when(no > yes).then(0.0).otherwise(-1.0)
    counted = facts.with_columns(value.alias("_settled")).with_columns(
        (pl.col("value") == pl.col("_settled")).sum().over(_THING).alias("_agree"),
        pl.len().over(_THING).alias("_of"),
    )
    first = counted.sort(
        pl.col("value") != pl.col("_settled"), pl.col("reader").cast(pl.String), maintain_order=True
    ).unique(_THING, keep="first", maintain_order=True)
    how = pl.format(f"{config.labels} {{}}/{{}}", "_agree", "_of")
    return first.with_columns(
        pl.col("_settled").alias("value"),
        how.cast(facts.schema["quality"]).alias("quality"),
        pl.lit(None, dtype=facts.schema["reader"]).alias("reader"),
    )


_THING = ["_image", "name"]


def _boxes(
    facts: pl.DataFrame, images: pl.DataFrame, readers: dict[int, int], config: ReadersConfig
) -> pl.DataFrame:
    """Return one row per combined box: the row of the reader whose box overlaps it most."""
    rows: list[dict[str, Any]] = []
    ordered = facts.sort("_image", pl.col("name").cast(pl.String), pl.col("reader").cast(pl.String),
                         maintain_order=True)  # fmt: skip
    for (image, _), group in ordered.group_by(_THING, maintain_order=True):
        position = int(image)
        size = images.row(position, named=True)
        scale = np.array([size["width"], size["height"]] * 2, dtype=float)
        given = group.explode("boxes").to_dicts()
        corners = np.array([row["boxes"] for row in given], dtype=float)
        who = [row["reader"] for row in given]
        found = (
            _fused(corners / scale, who, config.iou)
            if config.boxes == "wbf"
            else _hulls(corners / scale, config.iou)
        )
        overlap = _overlaps(found, corners / scale)
        for box, near in zip(found, overlap, strict=True):
            agree = {w for w, value in zip(who, near, strict=True) if value >= config.iou}
            row = given[int(np.argmax(near))]
            count = max(1, len(agree))
            rows.append(
                {
                    **row,
                    "boxes": [(box * scale).tolist()],
                    "reader": None,
                    "quality": f"{config.boxes} {count}/{readers[position]}",
                }
            )
    return pl.DataFrame(rows, schema=facts.schema, orient="row")


def _fused(corners: NDArray[np.float64], who: list[str], least: float) -> NDArray[np.float64]:
    """Fuse boxes with corners in [0, 1] by weighted boxes fusion, each reader as one model."""
    try:
        fuse = importlib.import_module("ensemble_boxes").weighted_boxes_fusion
    except ImportError as error:
        raise ImaxrayError(
            "Expected the package ensemble-boxes to fuse the boxes of several readers, but it is "
            "not installed; run pip install 'imaxray[readers]' or set readers.boxes to union."
        ) from error
    order = sorted(set(who))
    lists = [[c.tolist() for c, w in zip(corners, who, strict=True) if w == name] for name in order]
    ones = [[1.0] * len(boxes) for boxes in lists]
    zeros = [[0] * len(boxes) for boxes in lists]
    boxes, _, _ = fuse(lists, ones, zeros, iou_thr=least, skip_box_thr=0.0)
    return np.asarray(boxes, dtype=float).reshape(-1, 4)


def _hulls(corners: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Return the hull of each group of boxes that overlap, directly or through other boxes."""
    near: Any = coo_array(_overlaps(corners, corners) >= least)
    count, group = connected_components(near, directed=False)
    low = [corners[group == k, :2].min(axis=0) for k in range(count)]
    high = [corners[group == k, 2:].max(axis=0) for k in range(count)]
    return np.concatenate([np.array(low), np.array(high)], axis=1)


def _overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each box of ``a`` with each box of ``b``, shape (len(a), len(b))."""
    rows: list[list[Box]] = [[tuple(box) for box in boxes.tolist()] for boxes in (a, b)]
    return np.array([[iou(x, y) for y in rows[1]] for x in rows[0]], dtype=float).reshape(
        len(a), len(b)
    )
