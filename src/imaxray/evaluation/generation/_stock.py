"""One prompt at a time by ``transformers``' own ``generate``: for models of no proven family."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from imaxray.evaluation.generation._cache import inputs_of
from imaxray.models import ChatModel


@torch.inference_mode()
def stock_generate(
    chat: ChatModel,
    prompts: Sequence[Sequence[int]],
    images: Sequence[Mapping[str, torch.Tensor]],
    ends: Sequence[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """New ids of each prompt: left-padded into one batch, every one with its own image.

    Args:
        chat: the model.
        prompts: image and question, whole.
        images: inputs of each prompt's image.
        ends: ids that end an answer.
        max_new_tokens: an answer is cut there.
    """
    model: Any = chat.model
    pad = int(chat.tokenizer.pad_token_id or 0)
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(p)) + list(p) for p in prompts], device=model.device)
    mask = torch.tensor(
        [[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device
    )
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    accepted = inspect.signature(base.forward).parameters
    types = (ids == chat.image_token).long()
    named = ("mm_token_type_ids", "token_type_ids")
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        **{name: types for name in named if name in accepted},
        **inputs_of(chat, images),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        # greedy and nothing else, whatever the checkpoint's own settings are
        temperature=None,
        top_p=None,
        top_k=None,
        repetition_penalty=1.0,
        eos_token_id=list(ends),
        pad_token_id=pad,
    )
    rows: list[list[int]] = out[:, longest:].tolist()
    stop = frozenset(ends)
    return [
        row[: next((k for k, id_ in enumerate(row) if id_ in stop), len(row)) + 1] for row in rows
    ]
