"""Which entries each step sees: an explicit, seeded table, the same size a step in every arm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.training._config import Layout


def schedule(
    entries: pl.DataFrame, *, layout: Layout, entries_per_step: int, steps: int, seed: int
) -> pl.DataFrame:
    """Draw the entries of every step, epoch by epoch, without replacement inside an epoch.

    ``packed`` shuffles the images and keeps the entries of an image together (a group is cut only
    where a step ends); ``separate`` shuffles the entries.

    Args:
        entries: schema ENTRIES, the training split.
        layout: how rows are made.
        entries_per_step: entries in every step, exactly.
        steps: number of steps.
        seed: of the shuffles.

    Returns:
        Columns step (from 0), row (from 0 in each step; entries of one row share an image) and
        entry_id; sorted by step and row.

    Raises:
        ImaxrayError: there are no entries.
    """
    if entries.is_empty():
        raise ImaxrayError(
            "Expected training entries, but the train split is empty; build the data set with "
            "more images or a lower min_tasks."
        )
    ordered = entries.sort("image_id", "entry_id")
    ids = ordered["entry_id"].to_list()
    images = ordered["image_id"].to_list()
    groups: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image, []).append(index)
    stream = _stream(list(groups.values()), len(ids), layout, seed)
    table_step, table_row, table_entry = [], [], []
    for step in range(steps):
        row, previous = -1, None
        for _ in range(entries_per_step):
            index = next(stream)
            if layout == "separate" or images[index] != previous:
                row, previous = row + 1, images[index]
            table_step.append(step)
            table_row.append(row)
            table_entry.append(ids[index])
    return pl.DataFrame(
        {"step": table_step, "row": table_row, "entry_id": table_entry},
        schema={"step": pl.Int32, "row": pl.Int32, "entry_id": pl.String},
    )


def _stream(groups: list[list[int]], total: int, layout: Layout, seed: int) -> Iterator[int]:
    epoch = 0
    while True:
        random = np.random.default_rng([seed, epoch])
        if layout == "separate":
            yield from random.permutation(total).tolist()
        else:
            for group in random.permutation(len(groups)).tolist():
                members = groups[group]
                for member in random.permutation(len(members)).tolist():
                    yield members[member]
        epoch += 1
