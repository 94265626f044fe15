"""Lay the entries of one image out as ``[prefix][entry 1][entry 2] …`` in one row.

The prefix is the longest run of token ids that all prompts of the image share (found on ids, not on
text: tokens may merge across any border in text). Entry *k* continues from the prefix as if it were
alone: its position ids start where the prefix ends, and it sees the prefix and itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imaxray.models import EncodedEntry


@dataclass(frozen=True)
class Row:
    """One sequence for the model: a packed group of entries, or a single separate one.

    All lists have the row's length.

    Attributes:
        ids: token ids.
        segments: 0 on the prefix, k on entry k (1-based).
        positions: position of the token in the *separate* sequence of its entry.
        entry: index (into the row's entries) whose answer the token is part of; -1 elsewhere.
        entries: how many entries the row holds.
    """

    ids: list[int]
    segments: list[int]
    positions: list[int]
    entry: list[int]
    entries: int


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the longest common run at the start of all ``prompts``.

    At least one token of every prompt stays out of it, so that the token which predicts the first
    answer token lies in the entry's own segment.
    """
    limit = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    for index in range(limit):
        if any(prompt[index] != first[index] for prompt in prompts[1:]):
            return index
    return limit


def pack(entries: Sequence[EncodedEntry], image_token: int) -> Row:
    """Pack the entries of one image into one row.

    Raises:
        ValueError: the image is not wholly inside the common prefix (a prompt that places text
            before the image that differs between entries); such entries cannot share it.
    """
    prompts = [entry.prompt for entry in entries]
    shared = common_prefix(prompts) if len(entries) > 1 else max(len(prompts[0]) - 1, 0)
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
    return Row(ids, segments, positions, entry, len(entries))


def separate(entry: EncodedEntry) -> Row:
    """Lay out one entry as a sequence of its own: plain causal order, one segment."""
    ids = [*entry.prompt, *entry.target]
    return Row(
        ids,
        [0] * len(ids),
        list(range(len(ids))),
        [-1] * len(entry.prompt) + [0] * len(entry.target),
        1,
    )
