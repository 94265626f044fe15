"""Generates greedy answers; all prompts of an image share its prefix, which is encoded once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import polars as pl
import torch

from imaxray._common.defaults import MAX_NEW_TOKENS
from imaxray.evaluation.generation.attention import shared_prefix_attention
from imaxray.evaluation.generation.decoding import decode
from imaxray.evaluation.generation.prediction_store import PREDICTIONS
from imaxray.evaluation.generation.prefix_cache import prefill
from imaxray.evaluation.generation.stock import stock_generate
from imaxray.evaluation.generation.units import Unit, plan
from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import PACKABLE
from imaxray.progress import progress_bar
from imaxray.training import Pixels

_log = logging.getLogger(__name__)

Answerer = Callable[[Sequence[Unit]], list[list[int]]]
"""Function from the units of a batch to the new token ids of each of their entries, in order."""


def generate(
    chat: ChatModel,
    entries: pl.DataFrame,
    encoded: Mapping[str, EncodedEntry],
    pixels: Pixels,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    images_per_batch: int = 16,
    rows_per_batch: int = 256,
) -> pl.DataFrame:
    """Answer every entry greedily and return PREDICTIONS sorted by entry id.

    The tokens equal those of ``generate`` of ``transformers`` for one entry at a time, except for
    rounding: if two tokens are equally likely up to the last digits, any change of the batch may
    select the other one.

    Args:
        chat: Model that answers.
        entries: Entries to answer; the columns entry_id and image_id are read.
        encoded: Token ids of the prompts by entry id.
        pixels: Prepared image inputs by image id.
        max_new_tokens: Maximum number of tokens per answer; longer answers are cut.
        images_per_batch: Maximum number of images per batch.
        rows_per_batch: Maximum number of entries per batch.

    Raises:
        ImaxrayError: If a prompt has no image, or is longer than the context of the model.
    """
    batches = plan(
        chat,
        entries,
        encoded,
        images_per_batch=images_per_batch,
        rows_per_batch=rows_per_batch,
    )
    frames = [pl.DataFrame(schema=PREDICTIONS)]
    with progress_bar("Generating answers", total=entries.height) as bar:
        for frame in answers(chat, batches, encoded, pixels, max_new_tokens):
            frames.append(frame)
            bar.advance(frame.height)
    return pl.concat(frames).sort("entry_id")


def answers(
    chat: ChatModel,
    batches: Sequence[Sequence[Unit]],
    encoded: Mapping[str, EncodedEntry],
    pixels: Pixels,
    max_new_tokens: int,
) -> Iterator[pl.DataFrame]:
    """Yield the PREDICTIONS of one batch after the other."""
    model: Any = chat.model
    model.eval()
    ends = end_tokens(chat)
    shares = model.config.model_type in PACKABLE
    if not shares:
        _log.warning(
            "%s is of the family %s, which cannot share prefixes yet: its entries are answered one "
            "by one, and the image is encoded again for each entry",
            chat.name,
            model.config.model_type,
        )
    with shared_prefix_attention(model) if shares else nullcontext():
        for units in batches:
            if shares:
                rows = _shared(chat, units, encoded, pixels, ends, max_new_tokens)
            else:
                rows = [
                    stock_generate(
                        chat, [encoded[e].prompt], [pixels[unit.image_id]], ends, max_new_tokens
                    )[0].ids
                    for unit in units
                    for e in unit.entry_ids
                ]
            ids = [entry for unit in units for entry in unit.entry_ids]
            yield as_predictions(chat, ids, rows, ends)


def _shared(
    chat: ChatModel,
    units: Sequence[Unit],
    encoded: Mapping[str, EncodedEntry],
    pixels: Pixels,
    ends: Sequence[int],
    max_new_tokens: int,
) -> list[list[int]]:
    with torch.inference_mode():
        prefixes = prefill(
            chat,
            [encoded[unit.entry_ids[0]].prompt[: unit.prefix] for unit in units],
            [pixels[unit.image_id] for unit in units],
        )
    return decode(
        chat,
        prefixes,
        [encoded[entry].prompt[unit.prefix :] for unit in units for entry in unit.entry_ids],
        [number for number, unit in enumerate(units) for _ in unit.entry_ids],
        ends,
        max_new_tokens,
    )


def end_tokens(chat: ChatModel) -> list[int]:
    """Return the ids that end an answer: the template's end of turn and those of the checkpoint."""
    named = getattr(chat.model.generation_config, "eos_token_id", None)
    more = [named] if isinstance(named, int) else list(named or ())
    return sorted({chat.end_of_turn, *more})


def as_predictions(
    chat: ChatModel, entry_ids: Sequence[str], rows: Sequence[Sequence[int]], ends: Sequence[int]
) -> pl.DataFrame:
    """Turn new token ids into PREDICTIONS."""
    stop = frozenset(ends)
    ended = [bool(row) and row[-1] in stop for row in rows]
    cut = [row[:-1] if done else row for row, done in zip(rows, ended, strict=True)]
    return pl.DataFrame(
        {
            "entry_id": list(entry_ids),
            "text": [chat.decode(row) for row in cut],
            "raw": [str(chat.tokenizer.decode(row, skip_special_tokens=False)) for row in rows],
            "tokens": [len(row) for row in rows],
            "ended": ended,
        },
        schema=PREDICTIONS,
    )
