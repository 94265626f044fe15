"""Pads rows to one batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from imaxray.packing.layout import Group, Row


@dataclass(frozen=True)
class Batch:
    """Holds B rows with E entries in total, padded on the right to one length L.

    Attributes:
        input_ids: Token ids, (B, L) int64.
        position_ids: Positions in the separate sequences, (B, L) int64.
        segments: Number of each token's prefix or entry, unique in its row, (B, L) int64; -1 on
            padding.
        prefixes: Segment of the prefix of each token's image, (B, L) int64; -1 on padding.
        entry: Number of the entry to whose answer each token belongs, (B, L) int64; -1 elsewhere.
        entries: Number of entries E.
        groups: Groups of each row, one per image.
        packed: Whether the rows need a mask of their own; separate rows are plain causal.
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
        """Return the batch on ``device``."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    @property
    def valid(self) -> Tensor:
        """Mask of the tokens that are not padding, (B, L) bool."""
        return self.segments >= 0

    @property
    def predicts(self) -> Tensor:
        """Mask of the tokens whose next token in the row is an answer token, (B, L) bool.

        Logits are needed only at these tokens. The usual shift by one token holds in both layouts:
        the token before an answer token belongs to the same entry, because :func:`pack` keeps at
        least one prompt token in each entry's segment.
        """
        return torch.nn.functional.pad(self.entry[:, 1:] >= 0, (0, 1))

    @property
    def tokens(self) -> int:
        """Number of tokens that are not padding."""
        return int(self.valid.sum())


def collate(rows: Sequence[Row], *, pad: int, multiple_of: int = 1) -> Batch:
    """Pad ``rows`` on the right and number their entries consecutively.

    Args:
        rows: Rows, at least one.
        pad: Id of the padding token.
        multiple_of: Number to a multiple of which the length is rounded up; 8 suits GPU kernels,
            128 suits flex attention.
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
