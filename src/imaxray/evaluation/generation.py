"""Greedy answers with the image encoded once: all prompts of an image share its prefix.

The prefix (chat header and image) is prefilled once per image into a key-value cache; the cache is
then repeated for each of the image's prompts, whose own tokens are left-padded with explicit
position ids. Token for token the same as asking entry by entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl
import torch

from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import common_prefix
from imaxray.progress import progress_bar
from imaxray.training import Pixels

PREDICTIONS = pl.Schema({"entry_id": pl.String, "text": pl.String})
"""What generation returns and scoring reads: the raw text of the model, never cleaned."""


def generate(
    chat: ChatModel,
    entries: pl.DataFrame,
    encoded: Mapping[str, EncodedEntry],
    pixels: Pixels,
    *,
    max_new_tokens: int = 128,
    images_per_batch: int = 16,
) -> pl.DataFrame:
    """Answer every entry greedily; returns PREDICTIONS sorted by entry id.

    Args:
        chat: the model.
        entries: columns entry_id and image_id are read.
        encoded: prompt token ids by entry id.
        pixels: prepared image inputs by image id.
        max_new_tokens: an answer is cut there.
        images_per_batch: images that are answered together.
    """
    by_image: dict[str, list[str]] = {}
    for image, entry in entries.sort("image_id", "entry_id").select("image_id", "entry_id").rows():
        by_image.setdefault(image, []).append(entry)
    image_token = int(chat.model.config.image_token_id)
    prefixes = {
        image: _prefix([encoded[e].prompt for e in ids], image_token)
        for image, ids in by_image.items()
    }
    answers: dict[str, str] = {}
    chat.model.eval()
    # images whose prefixes have one length go together: no padding inside the shared cache
    ordered = sorted(by_image, key=lambda image: (prefixes[image], image))
    with progress_bar("Generating answers", total=entries.height) as bar, torch.inference_mode():
        for prefix, members in groupby(ordered, key=lambda image: prefixes[image]):
            same = list(members)
            for start in range(0, len(same), images_per_batch):
                chunk = same[start : start + images_per_batch]
                ids = [entry for image in chunk for entry in by_image[image]]
                owners = [k for k, image in enumerate(chunk) for _ in by_image[image]]
                texts = _answer(
                    chat,
                    [encoded[by_image[image][0]].prompt[:prefix] for image in chunk],
                    [encoded[entry].prompt[prefix:] for entry in ids],
                    owners,
                    [pixels[image] for image in chunk],
                    max_new_tokens,
                )
                answers.update(zip(ids, texts, strict=True))
                bar.advance(len(ids))
    return pl.DataFrame(
        {"entry_id": list(answers), "text": list(answers.values())}, schema=PREDICTIONS
    ).sort("entry_id")


def _prefix(prompts: Sequence[Sequence[int]], image_token: int) -> int:
    """Length of what is prefilled once: up to the last image token all prompts share."""
    shared = common_prefix(prompts) if len(prompts) > 1 else len(prompts[0]) - 1
    last = max(k for k, token in enumerate(prompts[0]) if token == image_token)
    if last >= shared:
        raise ValueError("the image does not end within the common prefix of its prompts")
    return last + 1


def _answer(
    chat: ChatModel,
    prefixes: Sequence[Sequence[int]],
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    images: Sequence[Mapping[str, torch.Tensor]],
    max_new_tokens: int,
) -> list[str]:
    model: Any = chat.model
    device = model.device
    pad, end = int(chat.tokenizer.pad_token_id), chat.end_of_turn
    inputs = {k: torch.cat([image[k] for image in images]).to(device) for k in images[0]}
    prefix = torch.tensor(prefixes, device=device)
    shared = prefix.shape[1]
    cache = model(input_ids=prefix, **inputs, use_cache=True, logits_to_keep=1).past_key_values
    cache.reorder_cache(torch.tensor(owners, device=device))  # one copy of the prefix per prompt

    longest = max(len(suffix) for suffix in suffixes)
    rows = len(suffixes)
    ids = torch.full((rows, longest), pad, device=device)
    mask = torch.zeros((rows, shared + longest), dtype=torch.int64, device=device)
    mask[:, :shared] = 1
    for row, suffix in enumerate(suffixes):
        ids[row, longest - len(suffix) :] = torch.tensor(suffix, device=device)
        mask[row, shared + longest - len(suffix) :] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
    done = torch.zeros(rows, dtype=torch.bool, device=device)
    produced: list[torch.Tensor] = []
    for _ in range(max_new_tokens):
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        token = out.logits[:, -1].argmax(dim=-1)
        token = torch.where(done, torch.full_like(token, end), token)
        produced.append(token)
        done |= token == end
        if bool(done.all()):
            break
        ids = token[:, None]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        positions = positions[:, -1:] + 1
    table = torch.stack(produced, dim=1).tolist()
    return [chat.decode(row[: row.index(end)] if end in row else row) for row in table]
