"""Plans the batches: prompts of an image share its prefix, and several images share a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, EncodedEntry


@dataclass(frozen=True)
class Unit:
    """Holds entries of one image whose prompts share a beginning, at least to the end of the image.

    Attributes:
        image_id: Id of the image.
        entry_ids: Ids of the entries, sorted.
        prefix: Number of shared tokens, which the model reads once.
    """

    image_id: str
    entry_ids: tuple[str, ...]
    prefix: int


def plan(
    chat: ChatModel,
    entries: pl.DataFrame,
    encoded: Mapping[str, EncodedEntry],
    *,
    images_per_batch: int,
    rows_per_batch: int,
) -> list[list[Unit]]:
    """Plan batches of units, in an order that depends on the entries alone.

    A batch holds at most ``images_per_batch`` images and at most ``rows_per_batch`` entries. An
    image with more entries is divided among batches. Images with prefixes of similar length and
    with similar numbers of entries are put together, which keeps padding small.

    Raises:
        ImaxrayError: If a prompt has no image token, or is longer than the context of the model.
    """
    units = sorted(
        _units(chat, entries, encoded, rows_per_batch),
        key=lambda unit: (unit.prefix, len(unit.entry_ids), unit.image_id, unit.entry_ids),
    )
    batches: list[list[Unit]] = []
    rows = 0
    for unit in units:
        size = len(unit.entry_ids)
        if not batches or len(batches[-1]) == images_per_batch or rows + size > rows_per_batch:
            batches.append([])
            rows = 0
        batches[-1].append(unit)
        rows += size
    return batches


def _units(
    chat: ChatModel, entries: pl.DataFrame, encoded: Mapping[str, EncodedEntry], most: int
) -> Iterator[Unit]:
    by_image: dict[str, list[str]] = {}
    for image, entry in entries.sort("image_id", "entry_id").select("image_id", "entry_id").rows():
        by_image.setdefault(image, []).append(entry)
    for image, ids in by_image.items():
        prompts = [encoded[entry].prompt for entry in ids]
        for entry, prompt in zip(ids, prompts, strict=True):
            _check(chat, entry, prompt)
        end = _end_of_image(prompts[0], chat.image_token)
        if any(prompt[:end] != prompts[0][:end] for prompt in prompts) or any(
            chat.image_token in prompt[end:] for prompt in prompts
        ):
            # The prompts differ in text before the image, so that nothing can be shared.
            for entry, prompt in zip(ids, prompts, strict=True):
                yield Unit(image, (entry,), _end_of_image(prompt, chat.image_token))
            continue
        for start in range(0, len(ids), most):
            yield Unit(image, tuple(ids[start : start + most]), end)


def _end_of_image(prompt: Sequence[int], image_token: int) -> int:
    return len(prompt) - list(reversed(prompt)).index(image_token)


def _check(chat: ChatModel, entry: str, prompt: Sequence[int]) -> None:
    if chat.image_token not in prompt or prompt[-1] == chat.image_token:
        raise ImaxrayError(
            f"Expected the prompt of entry {entry} to hold an image and text after it, but the "
            f"processor of {chat.name} wrote none; use a model with image input and its own "
            "processor."
        )
    if len(prompt) >= chat.context_length:
        raise ImaxrayError(
            f"Expected prompts within the {chat.context_length} tokens that {chat.name} reads, but "
            f"that of entry {entry} has {len(prompt)}; lower --max-image-tokens."
        )
