"""Turns entries into model inputs per optimizer step and divides a step among processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch.utils.data import Dataset

from imaxray.boxes import Box, split_boxes
from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import Row, collate, lay_out
from imaxray.progress import track
from imaxray.schema import IS_PSEUDO, image_sizes, task_names
from imaxray.training.config import Layout
from imaxray.training.steps.conversation import Conversations
from imaxray.training.steps.images import Pixels
from imaxray.training.steps.shares import share_out


def encode_entries(
    chat: ChatModel, entries: pl.DataFrame, images: pl.DataFrame, *, with_target: bool = True
) -> dict[str, EncodedEntry]:
    """Tokenise entries; return them by entry id, with boxes written for each image's own size.

    Raises:
        ImaxrayError: The texts of an entry have another number of placeholders than it has boxes.
    """
    sizes = image_sizes(images)
    rows = entries.select("entry_id", "image_id", "prompt", "target", "boxes")

    def encode(image_id: str, prompt: str, target: str, boxes: list[Box] | None) -> EncodedEntry:
        if with_target:
            return chat.encode(prompt, target, boxes or [], sizes[image_id])
        # The target decides which boxes are those of the prompt; only these may be read.
        parts = split_boxes(prompt, target, boxes or [])
        return chat.encode(prompt, None, parts[0] if parts else boxes or [], sizes[image_id])

    return {
        entry_id: encode(*row)
        for entry_id, *row in track(rows.iter_rows(), "Encoding entries", total=rows.height)
    }


@dataclass(frozen=True)
class Examples:
    """Holds entries together with their token ids and image inputs.

    Attributes:
        entries: Entries with schema ENTRIES.
        encoded: Token ids by entry id; not used by the layout ``conversation``.
        pixels: Image inputs by image id.
        conversations: Rows of conversations; needed by the layout ``conversation`` only.
    """

    entries: pl.DataFrame
    encoded: Mapping[str, EncodedEntry]
    pixels: Pixels
    conversations: Conversations | None = None


@dataclass(frozen=True)
class RowPiece:
    """Holds a row, the images of its placeholders and its entries, both in the order of the row."""

    row: Row
    images: list[str]
    entries: list[str]


class StepDataset(Dataset[dict[str, Any]]):
    """Provides the inputs of optimizer step *i* as item *i*.

    Items hold ``images`` (the model's image inputs), ``batch`` (one ``Batch``), ``tasks`` (E,)
    int64, the index of each entry's task in ``task_names()``, and, where pseudo entries weigh less
    or more than real ones, ``weights`` (E,).
    """

    def __init__(
        self,
        chat: ChatModel,
        table: pl.DataFrame,
        entries: pl.DataFrame,
        encoded: Mapping[str, EncodedEntry],
        pixels: Pixels,
        layout: Layout,
        conversations: Conversations | None = None,
        *,
        pseudo_weight: float = 1.0,
    ) -> None:
        self._chat = chat
        self._encoded = encoded
        self._pixels = pixels
        self._layout = layout
        self._conversations = conversations
        self._pad = int(chat.tokenizer.pad_token_id or 0)  # padding is masked, so any id is correct
        self._image_of = dict(entries.select("entry_id", "image_id").iter_rows())
        task_number = {task: number for number, task in enumerate(task_names())}
        self._task_of = {
            e: task_number[t] for e, t in entries.select("entry_id", "task").iter_rows()
        }
        self._weight_of: dict[str, float] | None = None
        if pseudo_weight != 1:
            self._weight_of = {
                entry: pseudo_weight if pseudo else 1.0
                for entry, pseudo in entries.select("entry_id", IS_PSEUDO).iter_rows()
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
        return self.item(self.pieces(step))

    def weight(self, step: int) -> float:
        """Return the divisor of a step's losses: its number of entries, or the sum of weights."""
        if self._weight_of is None:
            return sum(len(ids) for ids in self._steps[step])
        return sum(self._weight_of[entry] for ids in self._steps[step] for entry in ids)

    def pieces(self, step: int, budget: int | None = None) -> list[RowPiece]:
        """Return the rows of a step; a packed row holds several images up to ``budget`` tokens."""
        groups = self._steps[step]
        if self._layout == "conversation":
            assert self._conversations is not None
            return [
                RowPiece(row, [self._image_of[ids[0]]], ids)
                for group in groups
                for row, ids in self._conversations.rows(group, budget)
            ]
        plan = lay_out(
            [[self._encoded[e] for e in ids] for ids in groups],
            self._chat.image_token,
            packed=self._layout == "packed",
            tokens_per_row=budget,
        )
        images, entries, pieces = iter(plan.images), iter(plan.entries), []
        for row in plan.rows:
            of = [self._image_of[groups[next(images)][0]] for _ in row.groups]
            ids = [groups[group][k] for group, k in (next(entries) for _ in range(row.entries))]
            pieces.append(RowPiece(row, of, ids))
        return pieces

    def item(self, pieces: Sequence[RowPiece]) -> dict[str, Any]:
        """Collate rows into one batch with its images."""
        of = [entry for piece in pieces for entry in piece.entries]
        known = self._weight_of
        weights = {} if known is None else {"weights": torch.tensor([known[e] for e in of])}
        return {
            "batch": collate([piece.row for piece in pieces], pad=self._pad),
            "images": self._chat.join([self._pixels[i] for piece in pieces for i in piece.images]),
            "tasks": torch.tensor([self._task_of[e] for e in of]),
            **weights,
        }


class ShareDataset(Dataset[dict[str, Any]]):
    """Provides the share that process ``rank`` has of a step as item ``step * ranks + rank``.

    A share holds ``passes`` and ``entries``. ``passes`` is a list of items of :class:`StepDataset`,
    which are run one after the other. In each pass, ``idle`` is True if the rank has no rows left;
    such a pass is run but its losses do not count. ``entries`` is the number (or the sum of
    weights) of the entries of the whole step over all processes.
    """

    def __init__(
        self, steps: StepDataset, *, ranks: int, at_least: int, budget: int | None
    ) -> None:
        self._steps = steps
        self._ranks = ranks
        self._at_least = at_least
        self._budget = budget

    def __len__(self) -> int:
        return len(self._steps) * self._ranks

    def __getitem__(self, index: int) -> dict[str, Any]:
        step, rank = divmod(index, self._ranks)
        pieces = self._steps.pieces(step, self._budget)
        lengths = [len(piece.row) for piece in pieces]
        shares = share_out(lengths, ranks=self._ranks, at_least=self._at_least, budget=self._budget)
        shortest = min(range(len(pieces)), key=lambda k: lengths[k])
        passes = [
            {**self._steps.item([pieces[k] for k in rows or [shortest]]), "idle": not rows}
            for rows in shares[rank]
        ]
        return {"passes": passes, "entries": self._steps.weight(step)}


def first_item(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the only item; this is the collate function, because a step is already a batch."""
    return items[0]
