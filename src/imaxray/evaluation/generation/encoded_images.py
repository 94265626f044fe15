"""Keeps images encoded while a model is prompted about them again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.answering import end_tokens
from imaxray.evaluation.generation.attention import shared_prefix_attention
from imaxray.evaluation.generation.decoding import write
from imaxray.evaluation.generation.prefix_cache import Prefixes, prefill
from imaxray.evaluation.generation.sampling import Sampling, Written
from imaxray.evaluation.generation.stock import stock_generate
from imaxray.models import ChatModel
from imaxray.packing import PACKABLE
from imaxray.schema import ImageSize


class EncodedImages:
    """Encodes some images once; :meth:`ask` then answers prompts about them.

    The tokens that the prompts of an image share, up to the end of the image, are read when the
    object is created. A prompt is read as a whole if it begins differently (a template with text
    before the image), or if the model's family cannot share prefixes.

    Args:
        chat: Model that answers.
        sizes: Width and height of each original image in pixels.
        pixels: Prepared inputs of each image.
    """

    def __init__(
        self,
        chat: ChatModel,
        sizes: Mapping[str, ImageSize],
        pixels: Mapping[str, Mapping[str, torch.Tensor]],
    ) -> None:
        self._chat, self._pixels = chat, pixels
        chat.model.eval()
        self._ends = end_tokens(chat)
        self._shares = chat.model.config.model_type in PACKABLE
        beginnings = (
            {i: _beginning(chat, size) for i, size in sizes.items()} if self._shares else {}
        )
        # Prefixes of equal length are adjacent, so that they are read together.
        ordered = sorted(beginnings.items(), key=lambda item: len(item[1]))
        self._beginnings = {image: ids for image, ids in ordered if ids}
        self._places = {image: place for place, image in enumerate(self._beginnings)}
        self._prefixes: Prefixes | None = None  # None if no image shares tokens
        if self._beginnings:
            with torch.inference_mode():
                self._prefixes = prefill(
                    chat, list(self._beginnings.values()), [pixels[i] for i in self._beginnings]
                )

    def ask(
        self,
        images: Sequence[str],
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        rows_per_batch: int = 256,
        sampling: Sampling | None = None,
        top_k: int = 0,
    ) -> list[Written]:
        """Answer each prompt, greedily unless ``sampling`` is given.

        Args:
            images: Image id of each prompt.
            prompts: Token ids of each whole prompt.
            max_new_tokens: Maximum number of tokens per answer; longer answers are cut.
            rows_per_batch: Maximum number of prompts per batch.
            sampling: Temperature, and seed of each prompt. If None, answers are greedy.
            top_k: Number of most probable tokens that are returned for each place of an answer.

        Raises:
            ImaxrayError: If a prompt is longer than the context of the model.
        """
        for prompt in prompts:
            _require_room(self._chat, prompt)
        shared = [
            number
            for number, (image, prompt) in enumerate(zip(images, prompts, strict=True))
            if _begins(prompt, self._beginnings.get(image, ()))
        ]
        # Rows of an image are adjacent, in the order of the prefixes.
        shared.sort(key=lambda number: (self._places[images[number]], number))
        found: dict[int, Written] = {}
        with shared_prefix_attention(self._chat.model) if self._shares else nullcontext():
            for some in _cut(shared, rows_per_batch):
                found |= zip(some, self._shared(images, prompts, some, max_new_tokens, sampling,
                                                top_k),
                             strict=True)  # fmt: skip
        for number in sorted(set(range(len(prompts))) - set(shared)):
            of_one = None if sampling is None else _of(sampling, [number])
            found[number] = stock_generate(
                self._chat, [prompts[number]], [self._pixels[images[number]]], self._ends,
                max_new_tokens, of_one, top_k,
            )[0]  # fmt: skip
        return [found[number] for number in range(len(prompts))]

    def _shared(
        self,
        images: Sequence[str],
        prompts: Sequence[Sequence[int]],
        some: Sequence[int],
        max_new_tokens: int,
        sampling: Sampling | None,
        top_k: int,
    ) -> list[Written]:
        places = [self._places[images[number]] for number in some]
        used = sorted(set(places))
        prefixes: Any = self._prefixes
        if len(used) < len(self._places):
            prefixes = prefixes.select(torch.tensor(used, device=prefixes.lengths.device))
        return write(
            self._chat,
            prefixes,
            [prompts[number][len(self._beginnings[images[number]]) :] for number in some],
            [used.index(place) for place in places],
            self._ends,
            max_new_tokens,
            None if sampling is None else _of(sampling, some),
            top_k,
        )


def _beginning(chat: ChatModel, size: ImageSize) -> list[int]:
    """Return the ids that all prompts about an image of this size share up to the image's end."""
    first, second = (chat.encode(text, None, [], size).prompt for text in ("?", "Is it?"))
    if chat.image_token not in first:
        raise ImaxrayError(
            f"Expected prompts of {chat.name} to hold an image, but its processor wrote none; use "
            "a model with image input and its own processor."
        )
    end = len(first) - first[::-1].index(chat.image_token)
    return first[:end] if first[:end] == second[:end] else []


def _begins(prompt: Sequence[int], beginning: Sequence[int]) -> bool:
    return bool(beginning) and list(prompt[: len(beginning)]) == beginning


def _require_room(chat: ChatModel, prompt: Sequence[int]) -> None:
    if len(prompt) >= chat.context_length:
        raise ImaxrayError(
            f"Expected prompts within the {chat.context_length} tokens that {chat.name} reads, but "
            f"one has {len(prompt)}; lower --max-image-tokens."
        )


def _of(sampling: Sampling, numbers: Sequence[int]) -> Sampling:
    return Sampling(sampling.temperature, [sampling.seeds[number] for number in numbers])


def _cut(numbers: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), most):
        yield numbers[start : start + most]
