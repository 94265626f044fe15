"""Entries as model-ready steps: tokens encoded once, images prepared once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import torch
from torch.utils.data import Dataset

from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import collate, pack, separate
from imaxray.progress import track
from imaxray.radiograph import Readable
from imaxray.schema import TASKS
from imaxray.training._config import Layout

Pixels = Mapping[str, Mapping[str, torch.Tensor]]
"""Prepared model inputs of each image, by image id."""


def encode_entries(
    chat: ChatModel, entries: pl.DataFrame, images: pl.DataFrame, *, with_target: bool = True
) -> dict[str, EncodedEntry]:
    """Tokenise ``entries``, by entry id; boxes are written for each image's own size."""
    sizes = {i: (w, h) for i, w, h in images.select("image_id", "width", "height").iter_rows()}
    rows = entries.select("entry_id", "image_id", "prompt", "target", "boxes")
    return {
        entry_id: chat.encode(prompt, target if with_target else None, boxes or [], sizes[image_id])
        for entry_id, image_id, prompt, target, boxes in track(
            rows.iter_rows(), "Encoding entries", total=rows.height
        )
    }


def prepare_images(
    chat: ChatModel, image_ids: Sequence[str], image_of: Callable[[str], Readable]
) -> dict[str, dict[str, torch.Tensor]]:
    """Decode and prepare every image once, held in memory.

    ``image_of`` gives the file of an image, or its pixels: :class:`imaxray.cache.ImageStore`.
    """
    return {i: chat.pixels(image_of(i)) for i in track(image_ids, "Preparing images")}


class StepDataset(Dataset[dict[str, Any]]):
    """Item *i* is everything optimizer step *i* needs.

    Items hold the image inputs, one ``Batch``, and ``tasks``
    (E,) int64, the index of each entry's task in TASKS.
    """

    def __init__(
        self,
        chat: ChatModel,
        table: pl.DataFrame,
        entries: pl.DataFrame,
        encoded: Mapping[str, EncodedEntry],
        pixels: Pixels,
        layout: Layout,
    ) -> None:
        self._encoded = encoded
        self._pixels = pixels
        self._layout = layout
        self._image_token = int(chat.model.config.image_token_id)
        self._pad = int(chat.tokenizer.pad_token_id)
        self._image_of = dict(entries.select("entry_id", "image_id").iter_rows())
        task_number = {task: number for number, task in enumerate(TASKS)}
        self._task_of = {
            e: task_number[t] for e, t in entries.select("entry_id", "task").iter_rows()
        }
        grouped = table.group_by("step", "row", maintain_order=True).agg("entry_id")
        self._steps: list[list[list[str]]] = [
            []
            for _ in range(int(table["step"].max()) + 1)  # type: ignore[arg-type]
        ]
        for step, _, ids in grouped.iter_rows():
            self._steps[step].append(ids)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, step: int) -> dict[str, Any]:
        groups = self._steps[step]
        rows = [
            pack([self._encoded[e] for e in ids], self._image_token)
            if self._layout == "packed"
            else separate(self._encoded[ids[0]])
            for ids in groups
        ]
        inputs = [self._pixels[self._image_of[ids[0]]] for ids in groups]
        return {
            "batch": collate(rows, pad=self._pad),
            "images": {key: torch.cat([item[key] for item in inputs]) for key in inputs[0]},
            "tasks": torch.tensor([self._task_of[e] for ids in groups for e in ids]),
        }


def first_item(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Collate function: a step is already a whole batch."""
    return items[0]
