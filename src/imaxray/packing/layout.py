"""Lays out the entries of one image as ``[prefix][entry 1][entry 2] …``, and joins such groups.

The prefix is the longest run of token ids with which all prompts of the image start. It is found on
ids, not on text, because tokens may merge across any border in text. Entry *k* continues from the
prefix as if it were alone: its position ids start where the prefix ends, and it sees the prefix and
itself. A row holds one such group, or several groups that never see each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from imaxray.models import EncodedEntry


class Group(NamedTuple):
    """Locates one image in a row: its prefix ``[start, split)``, its entries ``[split, stop)``."""

    start: int
    split: int
    stop: int


@dataclass(frozen=True)
class Row:
    """Holds one sequence for the model: groups of entries, or a single separate entry.

    All lists have the length of the row.

    Attributes:
        ids: Token ids.
        segments: Number of each token's prefix or entry, unique in the row.
        prefixes: Segment of the prefix of each token's image, to which the token may attend.
        positions: Position of each token in the *separate* sequence of its entry.
        entry: Index of the row's entry to whose answer each token belongs; -1 elsewhere.
        entries: Number of entries in the row.
        groups: Groups of the row, one per image, in the order of the placeholders and hence of the
            image inputs.
    """

    ids: list[int]
    segments: list[int]
    prefixes: list[int]
    positions: list[int]
    entry: list[int]
    entries: int
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.ids)


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Return the length of the longest common run at the start of all ``prompts``.

    At least one token of every prompt is excluded, so that the token which predicts the first
    answer token lies in the entry's own segment.

    Example:
        >>> common_prefix([[1, 9, 9, 4, 5], [1, 9, 9, 6]])
        3
    """
    limit = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    for index in range(limit):
        if any(prompt[index] != first[index] for prompt in prompts[1:]):
            return index
    return limit


def pack(entries: Sequence[EncodedEntry], image_token: int) -> Row:
    """Pack the entries of one image into one row; a single entry becomes a separate row.

    Raises:
        ValueError: The image is not wholly inside the common prefix, because the prompts differ in
            the text before the image. Such entries cannot share the image, and :func:`lay_out`
            gives each of them an image of its own.

    Example:
        >>> # token 9 stands for a piece of the image; two prompts share the prefix 1 9 9
        >>> one, two = EncodedEntry([1, 9, 9, 4], [7]), EncodedEntry([1, 9, 9, 5], [8])
        >>> row = pack([one, two], image_token=9)
        >>> row.ids
        [1, 9, 9, 4, 7, 5, 8]
        >>> row.segments
        [0, 0, 0, 1, 1, 2, 2]
        >>> row.positions
        [0, 1, 2, 3, 4, 3, 4]
    """
    if len(entries) == 1:
        return separate(entries[0])
    prompts = [entry.prompt for entry in entries]
    shared = common_prefix(prompts)
    if any(image_token in prompt[shared:] for prompt in prompts):
        raise ValueError(f"the image does not end within the common prefix of {shared} tokens")
    ids = list(prompts[0][:shared])
    segments = [0] * shared
    positions = list(range(shared))
    entry = [-1] * shared
    for index, item in enumerate(entries):
        own = item.prompt[shared:]
        ids += [*own, *item.target]
        length = len(own) + len(item.target)
        segments += [index + 1] * length
        positions += range(shared, shared + length)
        entry += [-1] * len(own) + [index] * len(item.target)
    group = Group(0, shared, len(ids))
    return Row(ids, segments, [0] * len(ids), positions, entry, len(entries), (group,))


def separate(entry: EncodedEntry) -> Row:
    """Lay out one entry as a sequence of its own: plain causal order, one segment.

    Example:
        >>> separate(EncodedEntry([1, 9, 9, 4], [7])).ids
        [1, 9, 9, 4, 7]
    """
    ids = [*entry.prompt, *entry.target]
    return Row(
        ids,
        [0] * len(ids),
        [0] * len(ids),
        list(range(len(ids))),
        [-1] * len(entry.prompt) + [0] * len(entry.target),
        1,
        (Group(0, len(ids), len(ids)),),
    )


def join_rows(rows: Sequence[Row]) -> Row:
    """Concatenate ``rows`` to one row, and number its segments and entries consecutively."""
    if len(rows) == 1:
        return rows[0]
    ids: list[int] = []
    segments: list[int] = []
    prefixes: list[int] = []
    positions: list[int] = []
    entry: list[int] = []
    groups: list[Group] = []
    entries, first = 0, 0
    for row in rows:
        offset = len(ids)
        ids += row.ids
        segments += [first + s for s in row.segments]
        prefixes += [first + p for p in row.prefixes]
        positions += row.positions
        entry += [entries + e if e >= 0 else -1 for e in row.entry]
        groups += [Group(*(offset + place for place in group)) for group in row.groups]
        entries += row.entries
        first += max(row.segments) + 1
    return Row(ids, segments, prefixes, positions, entry, entries, tuple(groups))
