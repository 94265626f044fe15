"""Turns entries into model inputs per optimizer step and divides a step among processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl
import torch
from torch.utils.data import Dataset

from imaxray.boxes import Box, split_boxes
from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import Row, collate, lay_out
from imaxray.progress import track
from imaxray.schema import IS_PSEUDO, image_sizes, task_names
from imaxray.training.augmenting.augmentation import Augmentation
from imaxray.training.augmenting.augmenter import Augmenter
from imaxray.training.config import Layout
from imaxray.training.steps.conversation import Conversations
from imaxray.training.steps.images import Pixels
from imaxray.training.steps.shares import share_out
from imaxray.training.steps.soft import SoftAnswer, soft_targets


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


class ShownImage(NamedTuple):
    """Names an image and how it is augmented; None if it is not."""

    image_id: str
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class RowPiece:
    """Holds a row, the images of its placeholders and its entries, both in the order of the row."""

    row: Row
    images: list[ShownImage]
    entries: list[str]


class StepDataset(Dataset[dict[str, Any]]):
    """Provides the inputs of optimizer step *i* as item *i*.

    Items hold ``images`` (the model's image inputs), ``batch`` (one ``Batch``), ``tasks`` (E,)
    int64, the index of each entry's task in ``task_names()``, where pseudo entries weigh less or
    more than real ones ``weights`` (E,), and for soft targets ``soft`` (``SoftTargets``).
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
        augmenter: Augmenter | None = None,
        soft: Mapping[str, SoftAnswer] | None = None,
    ) -> None:
        self._chat = chat
        self._augmenter = augmenter
        self._soft = soft
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
            return [
                piece
                for number, ids in enumerate(groups)
                for piece in self._conversation(step, number, ids, budget)
            ]
        shown: list[ShownImage] = []
        encoded: list[list[EncodedEntry]] = []
        for number, ids in enumerate(groups):
            image, tokens = self._encode(self._shown(step, number, ids[0]), ids, budget)
            shown.append(image)
            encoded.append(tokens)
        plan = lay_out(
            encoded,
            self._chat.image_token,
            packed=self._layout == "packed",
            tokens_per_row=budget,
        )
        images, entries, pieces = iter(plan.images), iter(plan.entries), []
        for row in plan.rows:
            of = [shown[next(images)] for _ in row.groups]
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
            "images": self._chat.join([self._inputs(i) for piece in pieces for i in piece.images]),
            "tasks": torch.tensor([self._task_of[e] for e in of]),
            **weights,
            **self._distributions(pieces),
        }

    def _distributions(self, pieces: Sequence[RowPiece]) -> dict[str, Any]:
        if self._soft is None:
            return {}
        return {"soft": soft_targets([(p.row, p.entries) for p in pieces], self._soft)}

    def _shown(self, step: int, number: int, entry_id: str) -> ShownImage:
        """Return the image of the row with this number, as the row shows it."""
        image_id = self._image_of[entry_id]
        if self._augmenter is None:
            return ShownImage(image_id)
        return ShownImage(image_id, self._augmenter.augmentation(step, number, image_id))

    def _encode(
        self, shown: ShownImage, ids: Sequence[str], budget: int | None
    ) -> tuple[ShownImage, list[EncodedEntry]]:
        """Return the tokens of a row's entries, with their boxes in the augmented image.

        Moved boxes can take more tokens. If an entry then no longer fits, the image stays in place.
        """
        known = [self._encoded[entry] for entry in ids]
        image_id, augmentation = shown
        if self._augmenter is None or augmentation is None:
            return shown, known
        moved = set(self._augmenter.moved(ids, augmentation))
        if not moved:
            return shown, known
        most = min(self._chat.context_length, budget or self._chat.context_length)
        found = [
            self._augmenter.encode(entry, image_id, augmentation, before)
            if entry in moved
            else before
            for entry, before in zip(ids, known, strict=True)
        ]
        if any(len(one.prompt) + len(one.target) > most for one in found):
            return ShownImage(image_id, augmentation.weakened(0)), known
        return shown, found

    def _conversation(
        self, step: int, number: int, ids: list[str], budget: int | None
    ) -> list[RowPiece]:
        assert self._conversations is not None
        shown = self._shown(step, number, ids[0])
        image_id, augmentation = shown
        rows = None
        if self._augmenter is not None and augmentation is not None and augmentation.moves:
            boxes = {
                entry: self._augmenter.boxes(entry, image_id, augmentation)
                for entry in self._augmenter.moved(ids, augmentation)
            }
            rows = list(self._conversations.rows(ids, budget, boxes))
            most = min(self._chat.context_length, budget or self._chat.context_length)
            if any(len(row) > most for row, _ in rows):
                rows, shown = None, ShownImage(image_id, augmentation.weakened(0))
        if rows is None:
            rows = list(self._conversations.rows(ids, budget))
        return [RowPiece(row, [shown], of_row) for row, of_row in rows]

    def _inputs(self, shown: ShownImage) -> Mapping[str, torch.Tensor]:
        if self._augmenter is None or shown.augmentation is None:
            return self._pixels[shown.image_id]
        return self._augmenter.inputs(shown.image_id, shown.augmentation)


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
