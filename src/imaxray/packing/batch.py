"""Rows to one batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from imaxray.packing.layout import Group, Row


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right to one length L; B rows, E entries in all.

    Attributes:
        input_ids: (B, L) int64.
        position_ids: (B, L) int64, positions in the separate sequences.
        segments: (B, L) int64, unique in each row; -1 on padding.
        prefixes: (B, L) int64, segment of the prefix of the token's image; -1 on padding.
        entry: (B, L) int64: which of the E entries the token answers; -1 elsewhere.
        entries: E.
        groups: of each row, one an image.
        packed: whether rows need a mask of their own; separate rows are plain causal.
    """

    input_ids: Tensor
    position_ids: Tensor
    segments: Tensor
    prefixes: Tensor
    entry: Tensor
    entries: int
    groups: tuple[tuple[Group, ...], ...]
    packed: bool

    def to(self, device: torch.device | str) -> Batch:
        """The batch on ``device``."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    @property
    def valid(self) -> Tensor:
        """(B, L) bool; False on padding."""
        return self.segments >= 0

    @property
    def predicts(self) -> Tensor:
        """(B, L) bool: the next token of the row is an answer token.

        Only there are logits needed. It is the usual shift in both layouts: the token before an
        answer token is of the same entry, as layout keeps a prompt token in each entry's segment.
        """
        return torch.nn.functional.pad(self.entry[:, 1:] >= 0, (0, 1))

    @property
    def tokens(self) -> int:
        """Tokens that are no padding."""
        return int(self.valid.sum())


def collate(rows: Sequence[Row], *, pad: int, multiple_of: int = 1) -> Batch:
    """Pad ``rows`` on the right and number their entries through.

    Args:
        rows: at least one.
        pad: id of the padding token.
        multiple_of: round the length up to one; kernels on a GPU like 8, flex attention 128.
    """
    longest = max(len(row) for row in rows)
    shape = (len(rows), -(-longest // multiple_of) * multiple_of)
    ids = torch.full(shape, pad, dtype=torch.int64)
    positions = torch.zeros(shape, dtype=torch.int64)
    segments, prefixes, entry = (torch.full(shape, -1, dtype=torch.int64) for _ in range(3))
    first = 0
    for index, row in enumerate(rows):
        end = len(row)
        ids[index, :end] = torch.tensor(row.ids)
        positions[index, :end] = torch.tensor(row.positions)
        segments[index, :end] = torch.tensor(row.segments)
        prefixes[index, :end] = torch.tensor(row.prefixes)
        answers = torch.tensor(row.entry)
        entry[index, :end] = torch.where(answers >= 0, answers + first, -1)
        first += row.entries
    packed = any(any(row.segments) for row in rows)
    groups = tuple(row.groups for row in rows)
    return Batch(ids, positions, segments, prefixes, entry, first, groups, packed)
