"""Divides the rows of one optimizer step into forward passes of each process."""

from __future__ import annotations

from collections.abc import Sequence


def share_out(
    lengths: Sequence[int], *, ranks: int = 1, at_least: int = 1, budget: int | None = None
) -> list[list[list[int]]]:
    """Divide the rows of a step into forward passes for each rank.

    Every process computes the same division by itself. All ranks make equally many passes, because
    sharded models communicate in each pass; a rank without further rows gets an empty pass.

    Args:
        lengths: Number of tokens of each row.
        ranks: Number of processes.
        at_least: Minimum number of passes per rank, if there are enough rows.
        budget: Maximum number of tokens of a pass with padding, that is, rows × the longest row. A
            row that exceeds the budget is a pass of its own.

    Returns:
        For each rank its passes, each a list of row numbers.

    Example:
        >>> share_out([100, 90, 20, 10], ranks=2)
        [[[1, 2, 3]], [[0]]]
        >>> share_out([100, 90, 20, 10], budget=100)
        [[[0], [1], [2, 3]]]
    """
    if ranks == at_least == 1 and budget is None:
        return [[list(range(len(lengths)))]]
    wanted = min(ranks * at_least, len(lengths))
    order = sorted(range(len(lengths)), key=lambda k: (-lengths[k], k))
    passes = [order] if budget is None else _padded(lengths, order, budget)
    while len(passes) < wanted or (len(passes) % ranks and len(passes) < len(lengths)):
        # Halve the costliest pass and keep rows of similar length together, so that all ranks
        # finish at the same time.
        heavy = max(
            (k for k in range(len(passes)) if len(passes[k]) > 1),
            key=lambda k: (sum(lengths[row] for row in passes[k]), -k),
        )
        passes[heavy : heavy + 1] = _halves(lengths, passes[heavy])
    passes.sort(key=lambda rows: (-sum(lengths[row] for row in rows), rows))
    rounds = -(-len(passes) // ranks)
    passes += [[] for _ in range(rounds * ranks - len(passes))]
    return [[sorted(passes[n * ranks + rank]) for n in range(rounds)] for rank in range(ranks)]


def _padded(lengths: Sequence[int], order: list[int], budget: int) -> list[list[int]]:
    """Group rows of similar length so that rows × longest row stays within the budget."""
    if all(lengths[row] * 2 > budget for row in order):
        return [[row] for row in order]
    passes: list[list[int]] = []
    for row in order:
        if passes and lengths[passes[-1][0]] * (len(passes[-1]) + 1) <= budget:
            passes[-1].append(row)
        else:
            passes.append([row])
    return passes


def _halves(lengths: Sequence[int], rows: list[int]) -> list[list[int]]:
    total = sum(lengths[row] for row in rows)
    first, have = 1, lengths[rows[0]]
    while first < len(rows) - 1 and have + lengths[rows[first]] <= total / 2:
        have += lengths[rows[first]]
        first += 1
    return [rows[:first], rows[first:]]
