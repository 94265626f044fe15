"""Rows to one batch of model inputs, and the loss both layouts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from imaxray.packing._layout import Row
from imaxray.packing._mask import additive, allowed


@dataclass
class Batch:
    """Rows padded on the right to one length L; B rows, E entries in all.

    Attributes:
        input_ids: (B, L) int64.
        position_ids: (B, L) int64, positions in the separate sequences.
        segments: (B, L) int64; 0 on the prefix.
        valid: (B, L) bool; False on padding.
        entry: (B, L) int64: which of the E entries the token answers; -1 elsewhere.
        entries: E.
        packed: whether rows need the segment mask; separate rows are plain causal.
    """

    input_ids: Tensor
    position_ids: Tensor
    segments: Tensor
    valid: Tensor
    entry: Tensor
    entries: int
    packed: bool

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            segments=self.segments.to(device),
            valid=self.valid.to(device),
            entry=self.entry.to(device),
        )

    def model_inputs(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` and ``position_ids`` for a ``transformers`` model."""
        if self.packed:
            mask = additive(allowed(self.segments, self.position_ids, self.valid), dtype)
        else:
            mask = self.valid.long()
        return {
            "input_ids": self.input_ids,
            "attention_mask": mask,
            "position_ids": self.position_ids,
        }

    @property
    def tokens(self) -> int:
        """Tokens that are no padding."""
        return int(self.valid.sum())


def collate(rows: Sequence[Row], *, pad: int) -> Batch:
    """Pad ``rows`` on the right and number their entries through."""
    length = max(len(row.ids) for row in rows)
    shape = (len(rows), length)
    ids = torch.full(shape, pad, dtype=torch.int64)
    positions = torch.zeros(shape, dtype=torch.int64)
    segments = torch.zeros(shape, dtype=torch.int64)
    valid = torch.zeros(shape, dtype=torch.bool)
    entry = torch.full(shape, -1, dtype=torch.int64)
    first = 0
    for index, row in enumerate(rows):
        end = len(row.ids)
        ids[index, :end] = torch.tensor(row.ids)
        positions[index, :end] = torch.tensor(row.positions)
        segments[index, :end] = torch.tensor(row.segments)
        valid[index, :end] = True
        answers = torch.tensor(row.entry)
        entry[index, :end] = torch.where(answers >= 0, answers + first, -1)
        first += row.entries
    packed = any(row.entries > 1 or any(row.segments) for row in rows)
    return Batch(ids, positions, segments, valid, entry, first, packed)


def entry_losses(logits: Tensor, batch: Batch, *, kept: int | None = None) -> Tensor:
    """Mean negative log-likelihood of each entry's answer tokens, shape (E,).

    Every answer token is predicted by the token before it in its row, which is of the same entry
    (layout keeps at least one prompt token in each entry's segment), so the shift is the usual one
    in both layouts.

    Args:
        logits: (B, K, V), the logits of the last K = ``kept`` positions (all when None).
        batch: as given to the model.
        kept: number of trailing positions that ``logits`` covers.
    """
    length = batch.input_ids.shape[1]
    start = 0 if kept is None else length - kept
    targets = batch.entry[:, start + 1 :]
    picked = targets >= 0
    predicted = logits[:, :-1][picked]
    if predicted.dtype in (torch.float16, torch.bfloat16):
        predicted = predicted.float()
    losses = cross_entropy(predicted, batch.input_ids[:, start + 1 :][picked], reduction="none")
    owner = targets[picked]
    total = torch.zeros(batch.entries, dtype=losses.dtype, device=losses.device)
    count = torch.zeros_like(total)
    total = total.index_add(0, owner, losses)
    count = count.index_add(0, owner, torch.ones_like(losses))
    return total / count.clamp(min=1)


def answer_start(batch: Batch) -> int:
    """First position, over all rows, whose logits predict an answer token.

    Logits before it need not be computed: in packed rows that spares the whole image prefix.
    """
    answered = (batch.entry >= 0).any(dim=0)
    return max(int(answered.to(torch.int64).argmax()) - 1, 0)
