"""Computes the Gram matrix of rows that are spread over ranks, sharded over the parameters."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from imaxray.dynamics.recording.row_map import gram_of


def counts_of_ranks(local: int, group: dist.ProcessGroup | None, device: torch.device) -> list[int]:
    """Return the number of samples of every rank, in rank order."""
    world = dist.get_world_size(group)
    gathered = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world)]
    dist.all_gather(gathered, torch.tensor([local], dtype=torch.int64, device=device), group=group)
    return [int(count) for count in gathered]


def shard_gram(rows: Tensor, counts: list[int], group: dist.ProcessGroup | None) -> Tensor:
    """Compute the part of the Gram matrix of all ranks' rows that this rank's columns contribute.

    Args:
        rows: Rows of this rank, (n, p); p is the same on every rank.
        counts: Number of samples of every rank.
        group: Process group; None means the default group.

    Returns:
        Matrix (N, N) float64 with the samples in rank order. The sum of the parts over ranks is the
        Gram matrix.
    """
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    widths = [len(part) for part in torch.arange(rows.shape[1]).tensor_split(world)]
    sent = [part.reshape(-1) for part in torch.split(rows, widths, dim=1)]
    mine = widths[rank]
    received = rows.new_empty(sum(counts) * mine)
    dist.all_to_all_single(
        received,
        torch.cat(sent),
        output_split_sizes=[count * mine for count in counts],
        input_split_sizes=[len(part) for part in sent],
        group=group,
    )
    return gram_of(received.reshape(sum(counts), mine))


def summed(gram: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Sum the parts of all ranks in place; each rank sends N² numbers."""
    dist.all_reduce(gram, group=group)
    return gram
