"""Plans rows of bounded length from the entries of several images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imaxray.errors import ImaxrayError
from imaxray.models import EncodedEntry
from imaxray.packing.layout import Row, common_prefix, join_rows, pack

TOO_LONG = "longer_than_context"
"""Reason code of an entry that is longer than the model's context."""


@dataclass(frozen=True)
class Dropped:
    """Records an entry that was left out as a whole.

    Attributes:
        entry: Indices (group, entry) of the entry as given to :func:`lay_out`.
        tokens: Length of the entry in tokens.
        reason: Reason code.
    """

    entry: tuple[int, int]
    tokens: int
    reason: str


@dataclass(frozen=True)
class PackingPlan:
    """Holds rows, and what the caller must pass to the model with them.

    Attributes:
        rows: Rows for :func:`collate`.
        images: Number of the group whose image each placeholder block needs, in the order of the
            rows. A group occurs more than once if its entries cannot share one image.
        entries: Indices (group, entry) in the order in which the batch numbers the entries.
        dropped: Entries that were left out, with the reason; no entry is ever truncated.
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
    """Lay out entries in rows, group by group; all entries of a group are about one image.

    Entries of a group share the image if their prompts agree up to its last token. A prompt with
    other text before the image gets a prefix, and an encoding of the image, of its own.

    Args:
        groups: Encoded entries, grouped by image.
        image_token: Id of the image placeholder.
        packed: Whether entries share the image; otherwise each entry is a row of its own.
        context: Length in tokens of the longest entry that the model accepts. A longer entry is
            dropped and reported. Packed rows may be longer, because none of their positions is.
        tokens_per_row: Token budget of a row, which is filled with the groups of several images
            (first fit, longest first). A larger group is cut into several. ``None``: one row per
            group.

    Raises:
        ImaxrayError: A single entry exceeds ``tokens_per_row``.
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
    """Pack lengths into bins by first fit decreasing; ties keep their order.

    Returns:
        Indices of each bin, with the bins in the order in which they were opened. The result is
        unique. First fit decreasing needs at most 11/9 of the minimum number of bins, plus one.

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
    """Group entries whose prompts agree up to the last image token, by first appearance."""
    clusters: dict[tuple[int, ...], list[int]] = {}
    for index in kept:
        prompt = group[index].prompt
        last = max((k for k, token in enumerate(prompt) if token == image_token), default=-1)
        clusters.setdefault(tuple(prompt[: last + 1]), []).append(index)
    return list(clusters.values())


def _within(
    group: Sequence[EncodedEntry], members: list[int], budget: int | None
) -> Iterator[list[int]]:
    """Cut a group that exceeds the budget into parts, in order; each part repeats the prefix."""
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
