"""Maps each row of a module's input to its sample, and sums over rows per sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from imaxray.errors import ImaxrayError


class RowMap:
    """Maps rows to samples: row r of a module's input (its first dimension) is of ``samples[r]``.

    Three cases occur. Text has one row per sequence (``RowMap.one_each(N)``); this includes packed
    rows, whose sample is the image. Image tiles have one row per tile, and a sample has several
    tiles. Flat vision towers without a batch dimension have one row per patch, and modules behind a
    merger see k patches as one row. (``merges=True`` lets a module have R / k rows as long as no
    merged row mixes samples.)

    Args:
        samples: Sample number of each row, (R,) integers in [0, count).
        count: Number of samples N. If None, it is the largest sample number + 1. A sample may have
            no row.
        merges: Whether modules may see k consecutive rows as one row.
    """

    def __init__(
        self, samples: Tensor | Sequence[int], *, count: int | None = None, merges: bool = False
    ) -> None:
        self.samples = torch.as_tensor(samples, dtype=torch.int64, device="cpu")
        if self.samples.dim() != 1 or not len(self.samples):
            raise ImaxrayError(
                f"Expected a row map of shape (R,) with R ≥ 1, but got {tuple(self.samples.shape)};"
                " give one sample number per row."
            )
        low, high = int(self.samples.min()), int(self.samples.max())
        self.count = high + 1 if count is None else count
        if low < 0 or high >= self.count:
            raise ImaxrayError(
                f"Expected sample numbers in [0, {self.count}), but got {low} to {high}; number "
                "the samples of the batch from 0."
            )
        self.merges = merges
        self._groups: dict[int, RowGroups] = {}

    @classmethod
    def one_each(cls, count: int) -> RowMap:
        """Return the map in which row r is sample r."""
        return cls(torch.arange(count))

    @classmethod
    def runs(cls, samples: Sequence[int], lengths: Sequence[int], **kwargs: object) -> RowMap:
        """Return the map in which ``lengths[k]`` consecutive rows belong to ``samples[k]``."""
        owner = torch.as_tensor(samples, dtype=torch.int64)
        return cls(owner.repeat_interleave(torch.as_tensor(lengths)), **kwargs)  # type: ignore[arg-type]

    def groups(self, rows: int, where: str) -> RowGroups:
        """Return how ``rows`` rows of the module called ``where`` are divided among the samples.

        Raises:
            ImaxrayError: If the number of rows does not fit the map; a guess could be silently
                wrong.
        """
        found = self._groups.get(rows)
        if found is None:
            found = self._groups[rows] = self._fit(rows, where)
        return found

    def _fit(self, rows: int, where: str) -> RowGroups:
        mapped = len(self.samples)
        if rows == mapped:
            return RowGroups(self.samples, self.count)
        if self.merges and mapped % rows == 0:
            merged = self.samples.reshape(rows, mapped // rows)
            if bool((merged == merged[:, :1]).all()):
                return RowGroups(merged[:, 0].contiguous(), self.count)
        raise ImaxrayError(
            f"Expected {mapped} rows (one per {'patch' if self.merges else 'row of the map'}) in "
            f"{where}, but its input has {rows}; give this module a row map of its own (scopes)."
        )


@dataclass(frozen=True)
class RowGroups:
    """Groups the rows of a module by sample, for sums per sample.

    Attributes:
        samples: Sample number of each row, (R,) int64.
        count: Number of samples N.
    """

    samples: Tensor
    count: int

    @cached_property
    def order(self) -> Tensor | None:
        """Permutation that brings the rows of each sample together; None if they already are."""
        if bool((self.samples[1:] >= self.samples[:-1]).all()):
            return None
        return torch.argsort(self.samples, stable=True)

    @cached_property
    def lengths(self) -> list[int]:
        """Number of rows of each sample."""
        return [int(n) for n in torch.bincount(self.samples, minlength=self.count)]

    @cached_property
    def equal(self) -> bool:
        """Whether all samples have the same number of rows."""
        return min(self.lengths) == max(self.lengths)

    def sorted(self, tensor: Tensor) -> Tensor:
        """Flatten (R, …, C) to (R · T, C) and group rows by sample; T is the size of the middle."""
        if self.order is not None:
            tensor = tensor.index_select(0, self.order.to(tensor.device))
        return tensor.reshape(-1, tensor.shape[-1])

    def borders(self, positions: int) -> list[tuple[int, int]]:
        """Return start and end of each sample in :meth:`sorted`, with T = ``positions``."""
        ends, total = [], 0
        for length in self.lengths:
            ends.append((total, total + length * positions))
            total += length * positions
        return ends

    def rows_of(self, sample: int) -> Tensor:
        """Return the indices of the rows of one sample."""
        return (self.samples == sample).nonzero().flatten()


def weight_rows(grad: Tensor, inputs: Tensor, groups: RowGroups) -> Tensor:
    """Compute the per-sample weight gradients Σ_t gy_t x_tᵀ, (N, out, in).

    Args:
        grad: Gradient of the layer's output, (R, …, out).
        inputs: Input of the layer, (R, …, in).
        groups: Samples of the R rows.
    """
    flat_grad, flat_inputs = groups.sorted(grad), groups.sorted(inputs)
    n = groups.count
    if groups.equal:
        return torch.bmm(
            flat_grad.reshape(n, -1, flat_grad.shape[-1]).transpose(1, 2),
            flat_inputs.reshape(n, -1, flat_inputs.shape[-1]),
        )
    rows = flat_grad.new_empty(n, flat_grad.shape[-1], flat_inputs.shape[-1])
    for sample, (start, end) in enumerate(groups.borders(len(flat_grad) // grad.shape[0])):
        torch.mm(flat_grad[start:end].T, flat_inputs[start:end], out=rows[sample])
    return rows


def bias_rows(grad: Tensor, groups: RowGroups) -> Tensor:
    """Compute the per-sample bias gradients Σ_t gy_t, (N, out)."""
    flat = groups.sorted(grad)
    if groups.equal:
        return flat.reshape(groups.count, -1, flat.shape[-1]).sum(1)
    borders = groups.borders(len(flat) // grad.shape[0])
    return torch.stack([flat[start:end].sum(0) for start, end in borders])


_BLOCK = 64
"""Number of samples per block of K. Blocks save a quarter of the time at N = 256; smaller ones lose
that gain."""


def gram_of(rows: Tensor) -> Tensor:
    """Return the Gram matrix R Rᵀ of rows (N, p), as (N, N) float64.

    Products of 8,192 columns at a time are added in float64, because one float32 product over a
    million columns was off by 2e-4 of its diagonal. Only blocks on and below the diagonal are
    multiplied.
    """
    n = len(rows)
    total = torch.zeros(n, n, dtype=torch.float64, device=rows.device)
    for part in torch.split(rows, 8192, dim=1):
        for start in range(0, n, _BLOCK):
            end = start + _BLOCK
            total[start:end, :end].add_(torch.mm(part[start:end], part[:end].T))
    return total.tril() + total.tril(-1).T
