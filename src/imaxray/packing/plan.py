"""From the entries of several images to rows of bounded length: who shares, who lies where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imaxray.errors import ImaxrayError
from imaxray.models import EncodedEntry
from imaxray.packing.layout import Row, common_prefix, join_rows, pack

TOO_LONG = "longer_than_context"
"""Reason of an entry that the model's context cannot hold."""


@dataclass(frozen=True)
class Dropped:
    """An entry that was left out, whole.

    Attributes:
        entry: (group, entry), as given.
        tokens: its length.
        reason: a code.
    """

    entry: tuple[int, int]
    tokens: int
    reason: str


@dataclass(frozen=True)
class PackingPlan:
    """Rows, and what the caller must pass with them.

    Attributes:
        rows: for :func:`collate`.
        images: the group whose image each placeholder block needs, in the order of the rows; a
            group stands in it more than once where its entries cannot share one image.
        entries: (group, entry) in the order in which the batch numbers them.
        dropped: what was left out and why; nothing is ever truncated.
    """

    rows: list[Row]
    images: list[int]
    entries: list[tuple[int, int]]
    dropped: list[Dropped]


def lay_out(
    groups: Sequence[Sequence[EncodedEntry]],
    image_token: int,
    *,
    packed: bool = True,
    context: int | None = None,
    tokens_per_row: int | None = None,
) -> PackingPlan:
    """Lay entries out, group by group (all entries of a group are about one image).

    Entries of a group share the image where their prompts agree up to its last token; a prompt that
    places other text before the image gets a prefix, and an encoding of the image, of its own.

    Args:
        groups: encoded entries, by image.
        image_token: id of the image placeholder.
        packed: entries share the image; otherwise each is a row of its own.
        context: longest entry the model can take, in tokens. A longer one is dropped and told.
            Packed rows may exceed it: no position does.
        tokens_per_row: fill rows with several images' groups up to so many tokens (first fit,
            longest first); a group above it is cut into several. ``None``: one row a group.

    Raises:
        ImaxrayError: one entry alone exceeds ``tokens_per_row``.
    """
    dropped: list[Dropped] = []
    pieces: list[tuple[Row, int, list[tuple[int, int]]]] = []
    for number, group in enumerate(groups):
        kept: list[int] = []
        for index, entry in enumerate(group):
            tokens = len(entry.prompt) + len(entry.target)
            if context is not None and tokens > context:
                dropped.append(Dropped((number, index), tokens, TOO_LONG))
                continue
            if tokens_per_row is not None and tokens > tokens_per_row:
                raise ImaxrayError(
                    f"Expected entries of at most {tokens_per_row} tokens, the budget of a row, "
                    f"but one has {tokens}; raise the tokens per batch to at least {tokens}."
                )
            kept.append(index)
        for members in _sharing(group, kept, image_token) if packed else [[k] for k in kept]:
            for part in _within(group, members, tokens_per_row):
                row = pack([group[k] for k in part], image_token)
                pieces.append((row, number, [(number, k) for k in part]))
    order = [[k] for k in range(len(pieces))]
    if tokens_per_row is not None and packed:
        order = fill([len(row) for row, _, _ in pieces], tokens_per_row)
    return PackingPlan(
        rows=[join_rows([pieces[k][0] for k in row]) for row in order],
        images=[pieces[k][1] for row in order for k in row],
        entries=[entry for row in order for k in row for entry in pieces[k][2]],
        dropped=dropped,
    )


def fill(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """First-fit-decreasing bin packing; ties keep their order, so the answer is unique.

    Returns:
        Indices by bin; bins in the order they were opened. First fit decreasing needs at most
        11/9 of the least possible number of bins and one more.

    Example:
        >>> fill([5, 3, 4, 2], budget=7)
        [[0, 3], [2, 1]]
    """
    bins: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        for number, room in enumerate(free):
            if lengths[index] <= room:
                bins[number].append(index)
                free[number] -= lengths[index]
                break
        else:
            bins.append([index])
            free.append(budget - lengths[index])
    return bins


def _sharing(
    group: Sequence[EncodedEntry], kept: Sequence[int], image_token: int
) -> list[list[int]]:
    """Entries whose prompts are one up to the last image token, in order of first appearance."""
    clusters: dict[tuple[int, ...], list[int]] = {}
    for index in kept:
        prompt = group[index].prompt
        last = max((k for k, token in enumerate(prompt) if token == image_token), default=-1)
        clusters.setdefault(tuple(prompt[: last + 1]), []).append(index)
    return list(clusters.values())


def _within(
    group: Sequence[EncodedEntry], members: list[int], budget: int | None
) -> Iterator[list[int]]:
    """Cut a group that exceeds the budget, in order; each part repeats the prefix."""
    if budget is None:
        yield members
        return
    prefix = common_prefix([group[k].prompt for k in members])
    part: list[int] = []
    used = prefix
    for index in members:
        own = len(group[index].prompt) + len(group[index].target) - prefix
        if part and used + own > budget:
            yield part
            part, used = [], prefix
        part.append(index)
        used += own
    yield part
