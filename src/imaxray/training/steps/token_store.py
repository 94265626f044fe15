"""Stores the token ids of all entries compactly and lists the entries that are too long."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.models import BoxCountError, ChatModel, EncodedEntry
from imaxray.progress import track
from imaxray.schema import image_sizes

DROPS: Final = pl.Schema(
    {
        "entry_id": pl.String,
        "image_id": pl.String,
        "task": pl.String,
        "tokens": pl.Int32,  # length of the entry; null if it cannot be encoded
        "limit": pl.Int32,  # context length of the model
        "code": pl.String,
    }
)
"""Columns of the entries that a run leaves out, each with the reason."""

LONGER_THAN_CONTEXT: Final = "longer-than-context"
BOX_COUNT: Final = "box-count"  # the texts have another number of placeholders than of boxes


class TokenStore(Mapping[str, EncodedEntry]):
    """Stores encoded entries by id, with four bytes per token and one number per image.

    354 thousand entries of 616 tokens, of which 576 are image tokens, take under 120 MB including
    the ids of the entries. As lists of numbers they would take over a gigabyte.
    """

    def __init__(self, image_token: int) -> None:
        self._image_token = image_token
        self._ids = array("i")
        self._bounds = array("q", [0])  # prompt, target, prompt, target …
        self._places: dict[str, int] = {}

    def add(self, entry_id: str, entry: EncodedEntry) -> None:
        """Add an entry."""
        self._places[entry_id] = len(self._bounds) // 2
        for ids in (entry.prompt, entry.target):
            self._ids.extend(self._short(ids))
            self._bounds.append(len(self._ids))

    def __getitem__(self, entry_id: str) -> EncodedEntry:
        place = 2 * self._places[entry_id]
        start, middle, end = self._bounds[place : place + 3]
        return EncodedEntry(self._long(start, middle), self._long(middle, end))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _short(self, ids: list[int]) -> list[int]:
        """Replace each run of the image token by its negative length."""
        token, count = self._image_token, ids.count(self._image_token)
        if not count:
            return ids
        start = ids.index(token)
        if ids[start : start + count].count(token) == count:  # one run, as for nearly every image
            return [*ids[:start], -count, *ids[start + count :]]
        short: list[int] = []
        for image, run in groupby(ids, lambda value: value == token):
            values = list(run)
            short += [-len(values)] if image else values
        return short

    def _long(self, start: int, end: int) -> list[int]:
        ids: list[int] = []
        for value in self._ids[start:end]:
            if value < 0:
                ids += [self._image_token] * -value
            else:
                ids.append(value)
        return ids


@dataclass(frozen=True)
class Encoded:
    """Holds a split in the form of token ids.

    Attributes:
        entries: Entries that fit into the context of the model, with schema ENTRIES.
        tokens: Token ids of these entries.
        drops: Entries that do not fit, with schema :data:`DROPS`.
        longest: Number of tokens of the longest entry that fits.
    """

    entries: pl.DataFrame
    tokens: TokenStore
    drops: pl.DataFrame
    longest: int

    def counts(self) -> dict[str, int]:
        """Return the number of dropped entries by code."""
        return dict(self.drops.group_by("code").len().sort("code").iter_rows())


def encode_split(chat: ChatModel, entries: pl.DataFrame, images: pl.DataFrame) -> Encoded:
    """Tokenise a split; entries that are longer than the model's context are dropped and listed.

    Entries whose boxes do not fit the placeholders of their texts are dropped and listed too.

    Raises:
        ImaxrayError: If the processor gives entries of one image different numbers of image tokens,
            or no image tokens; or if no entry fits.
    """
    store = TokenStore(chat.image_token)
    limit = chat.context_length
    sizes = image_sizes(images)
    seen: dict[str, int] = {}
    dropped: list[tuple[str, str, str, int | None, int, str]] = []
    longest = 0
    rows = entries.select(
        "entry_id", "image_id", pl.col("task").cast(pl.String), "prompt", "target", "boxes"
    )
    for entry_id, image_id, task, prompt, target, boxes in track(
        rows.iter_rows(), "Encoding entries", total=rows.height
    ):
        try:
            entry = chat.encode(prompt, target, boxes or [], sizes[image_id])
        except BoxCountError:
            dropped.append((entry_id, image_id, task, None, limit, BOX_COUNT))
            continue
        _check_image(image_id, entry.prompt.count(chat.image_token), seen)
        length = len(entry.prompt) + len(entry.target)
        if length > limit:
            dropped.append((entry_id, image_id, task, length, limit, LONGER_THAN_CONTEXT))
        else:
            store.add(entry_id, entry)
            longest = max(longest, length)
    if dropped and not store:
        lengths = [row[3] for row in dropped if row[3] is not None]
        if not lengths:
            raise ImaxrayError(
                f"Expected entries with one box for each placeholder, but none of {len(dropped)} "
                "has this; build the dataset again."
            )
        shortest = min(lengths)
        raise ImaxrayError(
            f"Expected entries within the model's context of {limit} tokens, but the shortest of "
            f"{len(lengths)} has {shortest}; use a model with a longer context, or fewer image "
            "tokens (max_pixels or tiles of the processor)."
        )
    drops = pl.DataFrame(dropped, schema=DROPS, orient="row")
    kept = entries.filter(~pl.col("entry_id").is_in(drops["entry_id"].to_list()))
    return Encoded(kept, store, drops, longest)


def _check_image(image_id: str, count: int, seen: dict[str, int]) -> None:
    known = seen.setdefault(image_id, count)
    if count == 0:
        raise ImaxrayError(
            f"Expected image tokens in the prompt of image {image_id}, but the processor wrote "
            "none; use a model with image input and its own processor."
        )
    if known != count:
        raise ImaxrayError(
            f"Expected one size for all entries of image {image_id}, but the processor gave it "
            f"{known} and {count} image tokens; switch off random crops and sizes that depend on "
            "the prompt in the configuration of the processor."
        )
