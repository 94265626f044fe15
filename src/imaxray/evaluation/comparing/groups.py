"""Splits entries into subgroups: view, sex, age, source, tasks of the image, and size of boxes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import polars as pl

from imaxray.boxes import area, box_of
from imaxray.schema import image_sizes

UNKNOWN: Final = "unknown"
_AGES: Final = (40, 60, 80)
_BOX_EDGES: Final = (0.02, 0.1)  # shares of the image's area
_DENSITIES: Final = (2, 3, 5)  # number of tasks of the image at which the next band begins


def subgroups(
    entries: pl.DataFrame, images: pl.DataFrame, *, all_entries: pl.DataFrame | None = None
) -> dict[str, dict[str, list[str]]]:
    """Return the entry ids by property and value.

    The properties are ``view`` and ``sex`` as stated by the source; ``age`` in bands (<40, 40-59,
    60-79, 80+ years); ``source``, the release that the image comes from; and ``tasks of the
    image``, the number of tasks that have an entry on the image (1, 2, 3-4, 5+). Unstated values
    are ``unknown``. Values are sorted, and ids are in the order of ``entries``.

    Args:
        entries: Entries to group, schema ENTRIES.
        images: Images of the entries, schema IMAGES.
        all_entries: Entries that the tasks of an image are counted over; default: ``entries``.
            With the train entries, the number tells how densely the training images are annotated.
    """
    counted = entries if all_entries is None else all_entries
    tasks = counted.group_by("image_id").agg(pl.col("task").n_unique().alias("_tasks"))
    known = images.select("image_id", "view", "sex", "age", pl.col("source").cast(pl.String))
    table = (
        entries.select("entry_id", "image_id")
        .join(known, on="image_id", how="left", maintain_order="left")
        .join(tasks, on="image_id", how="left", maintain_order="left")
        .select(
            "entry_id",
            "view",
            "sex",
            _bands(pl.col("age"), _AGES).alias("age"),
            "source",
            _bands(pl.col("_tasks"), _DENSITIES).alias("tasks of the image"),
        )
    )
    result: dict[str, dict[str, list[str]]] = {}
    for prop in table.columns[1:]:
        values = table.select("entry_id", pl.col(prop).fill_null(UNKNOWN))
        parts = values.group_by(prop, maintain_order=True).agg("entry_id").sort(prop)
        result[prop] = dict(parts.iter_rows())
    return result


def box_sizes(entries: pl.DataFrame, images: pl.DataFrame) -> dict[str, list[str]]:
    """Return the ids of entries with boxes by the share of the image that a box covers.

    If an entry has several boxes, the mean of their shares counts. Entries without boxes are left
    out.

    Args:
        entries: Entries to group, schema ENTRIES.
        images: Images of the entries, schema IMAGES.
    """
    small, large = _BOX_EDGES
    names = (f"<{small:.0%}", f"{small:.0%}-{large:.0%}", f">={large:.0%}")
    found: dict[str, list[str]] = {name: [] for name in names}
    sizes = image_sizes(images)
    for entry, image, boxes in entries.select("entry_id", "image_id", "boxes").iter_rows():
        if boxes:
            width, height = sizes[image]
            share = sum(area(box_of(box)) for box in boxes) / (len(boxes) * width * height)
            found[names[(share >= small) + (share >= large)]].append(entry)
    return {name: ids for name, ids in found.items() if ids}


def _bands(value: pl.Expr, edges: tuple[int, ...]) -> pl.Expr:
    """Name the band of each whole number; the first is ``<edge``, or ``1`` if the edge is 2."""
    first = "1" if edges[0] == 2 else f"<{edges[0]}"
    band: Any = pl.when(value < edges[0]).then(pl.lit(first))
    for low, high in pairwise(edges):
        name = str(low) if high == low + 1 else f"{low}-{high - 1}"
        band = band.when(value < high).then(pl.lit(name))
    result: pl.Expr = band.when(value >= edges[-1]).then(pl.lit(f"{edges[-1]}+"))
    return result
