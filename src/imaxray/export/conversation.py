"""Defines the record that every chat format is written from: a conversation about one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl

from imaxray.boxes import PLACEHOLDER, Box, BoxConvention
from imaxray.hashing import digests, mixed

Per = Literal["entry", "image"]

_COLUMNS = (
    "split", "row", "image_id", "patient_id", "named", "width", "height",
    "entry_id", "task", "prompt", "target", "boxes",
)  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """Holds question and answer of an entry with ``<box>`` placeholders, question boxes first."""

    entry_id: str
    task: str
    prompt: str
    target: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Conversation:
    """Holds one row of an export: an image and the turns about it.

    Attributes:
        id: Id of the entry, or of the image with ``#2`` and so on for further rows about the image.
        split: Name of the split: train, val or test.
        image_id: Id of the image.
        patient_id: Id of the patient.
        image: Name of the image file in the row.
        size: Width and height of the image in pixels, or None if they are unknown.
        turns: Turns of the conversation, at least one.
    """

    id: str
    split: str
    image_id: str
    patient_id: str
    image: str
    size: tuple[int, int] | None
    turns: tuple[Turn, ...]

    def texts(self, convention: BoxConvention | None) -> Iterator[tuple[str, str]]:
        """Yield question and answer of each turn with boxes as text; None keeps placeholders."""
        for turn in self.turns:
            if convention is None or not turn.boxes or self.size is None:
                yield turn.prompt, turn.target
                continue
            asked = turn.prompt.count(PLACEHOLDER)
            yield (
                convention.fill(turn.prompt, turn.boxes[:asked], *self.size),
                convention.fill(turn.target, turn.boxes[asked:], *self.size),
            )

    @property
    def boxes(self) -> list[list[float]]:
        """All boxes in the order of their placeholders, pixels of the original image."""
        return [list(box) for turn in self.turns for box in turn.boxes]

    @property
    def meta(self) -> str:
        """Origin of the row as JSON text, with ids, split and tasks under fixed keys."""
        tasks = [turn.task for turn in self.turns]
        return orjson.dumps(
            {
                "image_id": self.image_id,
                "patient_id": self.patient_id,
                "split": self.split,
                "task": tasks[0] if len(set(tasks)) == 1 else None,
                "tasks": tasks,
                "entries": [turn.entry_id for turn in self.turns],
            }
        ).decode()


def ordered(
    entries: pl.DataFrame, *, per: Per, seed: int, max_turns: int | None, boxes_first: bool
) -> pl.DataFrame:
    """Return entries in the order of the export; ``row`` is the id of their conversation.

    Conversations, and the turns of each, are ordered by a hash of ``seed`` and their ids. The order
    is therefore mixed for a reader that does not shuffle, and independent of other rows of the
    dataset.

    Args:
        entries: Entries with schema ENTRIES, and ``named``, ``width`` and ``height`` of their
            images.
        per: Whether there is one conversation per entry or per image.
        seed: Seed of the order.
        max_turns: Maximum number of turns per conversation; longer conversations are divided.
        boxes_first: Whether to put the first conversation with boxes at the start of each split.
    """
    owner = "entry_id" if per == "entry" else "image_id"
    salt = seed * 2 + 1  # odd, so that every seed changes the hash
    keyed = entries.with_columns(
        pl.Series("_owner", mixed(digests(entries[owner]), salt), dtype=pl.UInt64),
        pl.Series("_turn", mixed(digests(entries["entry_id"]), salt), dtype=pl.UInt64),
    ).sort("split", "_owner", owner, "_turn", "entry_id")
    count = pl.int_range(pl.len()).over("split", owner)
    part = count // max_turns if max_turns else pl.lit(0)
    keyed = keyed.with_columns(part.alias("_part")).with_columns(
        pl.when(pl.col("_part") == 0)
        .then(pl.col(owner))
        .otherwise(pl.concat_str(owner, pl.lit("#"), pl.col("_part") + 1))
        .alias("row")
    )
    if boxes_first:
        keyed = _with_boxes_first(keyed)
    return keyed.select(_COLUMNS)


def _with_boxes_first(keyed: pl.DataFrame) -> pl.DataFrame:
    boxed = keyed.filter(pl.col("boxes").list.len() > 0).unique(
        "split", keep="first", maintain_order=True
    )
    chosen = boxed.select("split", "row", pl.lit(0).alias("_first"))
    return (
        keyed.with_columns(pl.Series("_at", np.arange(keyed.height)))
        .join(chosen, on=["split", "row"], how="left", maintain_order="left")
        .sort("split", pl.col("_first").fill_null(1), "_at")
    )


def conversations(entries: pl.DataFrame) -> Iterator[Conversation]:
    """Yield the conversations of entries that :func:`ordered` returned."""
    rows = entries.select(_COLUMNS).iter_rows(named=True)
    for (split, name), group in groupby(rows, key=itemgetter("split", "row")):
        turns = list(group)
        first = turns[0]
        size = (first["width"], first["height"])
        yield Conversation(
            id=name,
            split=split,
            image_id=first["image_id"],
            patient_id=first["patient_id"],
            image=first["named"],
            size=None if None in size else size,
            turns=tuple(_turn(row) for row in turns),
        )


def _turn(row: dict[str, Any]) -> Turn:
    boxes = tuple((b[0], b[1], b[2], b[3]) for b in row["boxes"] or ())
    return Turn(row["entry_id"], row["task"], row["prompt"], row["target"], boxes)
