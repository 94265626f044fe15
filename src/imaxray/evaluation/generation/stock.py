"""Generates answers with ``generate`` of ``transformers``, for families without shared prefixes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from imaxray.evaluation.generation.prefix_cache import inputs_of
from imaxray.evaluation.generation.sampling import (
    Sampling,
    TopTokens,
    Written,
    as_top,
    draw,
    top_tokens,
)
from imaxray.models import ChatModel


@torch.inference_mode()
def stock_generate(
    chat: ChatModel,
    prompts: Sequence[Sequence[int]],
    images: Sequence[Mapping[str, torch.Tensor]],
    ends: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None = None,
    top_k: int = 0,
) -> list[Written]:
    """Answer prompts in one left-padded batch, each prompt with its own image.

    Args:
        chat: Model that answers.
        prompts: Token ids of each whole prompt, image and question.
        images: Inputs of the image of each prompt.
        ends: Token ids that end an answer.
        max_new_tokens: Maximum number of tokens per answer; longer answers are cut.
        sampling: Temperature, and seed of each prompt. If None, answers are greedy.
        top_k: Number of most probable tokens that are returned for each place.
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
    drawn = [] if sampling is None else [_Drawn(sampling, longest)]
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        **{name: types for name in named if name in accepted},
        **inputs_of(chat, images),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        # These settings override those of the checkpoint, so that decoding is greedy.
        temperature=None,
        top_p=None,
        top_k=None,
        repetition_penalty=1.0,
        eos_token_id=list(ends),
        pad_token_id=pad,
        logits_processor=LogitsProcessorList(drawn),
        output_logits=True,
        return_dict_in_generate=True,
    )
    rows: list[list[int]] = out.sequences[:, longest:].tolist()
    steps = [
        logits.double().log_softmax(dim=-1).gather(1, token[:, None])[:, 0]
        for logits, token in zip(out.logits, out.sequences[:, longest:].T, strict=True)
    ]
    scores: list[list[float]] = torch.stack(steps, dim=1).tolist()
    stop = frozenset(ends)
    lengths = [
        next((k for k, id_ in enumerate(row) if id_ in stop), len(row) - 1) + 1 for row in rows
    ]
    top: list[tuple[TopTokens, ...]] = [()] * len(rows)
    if top_k:
        found = [top_tokens(logits, top_k) for logits in out.logits]
        ids, logs = (torch.stack(part, dim=1).cpu() for part in zip(*found, strict=True))
        top = [as_top(ids[k], logs[k], length) for k, length in enumerate(lengths)]
    return [
        Written(row[:length], of_row[:length], of_top)
        for row, of_row, length, of_top in zip(rows, scores, lengths, top, strict=True)
    ]


class _Drawn(LogitsProcessor):  # type: ignore[misc]
    """Masks all tokens except the sampled one, so that the greedy loop selects it."""

    def __init__(self, sampling: Sampling, start: int) -> None:
        self._sampling, self._start = sampling, start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        rows = range(len(scores))
        token = draw(scores, self._sampling, list(rows), input_ids.shape[1] - self._start)
        only = torch.full_like(scores, -torch.inf)
        return only.scatter(1, token[:, None], 0.0)
