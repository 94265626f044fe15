"""Computes how probable answers are without the image, from the words of their prompts alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch

from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import collate, model_inputs, separate

_NUMBERS: Final = 2**26  # logits a pass, about 0.5 GB in float64


@torch.inference_mode()
def text_logprobs(
    chat: ChatModel,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    *,
    rows_per_batch: int = 256,
) -> list[float | None]:
    """Return the mean log-probability of the tokens of each answer, given its prompt alone.

    Every answer is read in one forward pass. Which answers share a batch changes nothing but the
    rounding. An answer in which the model wrote an image token has none, because the model would
    look for the image.

    Args:
        chat: Model.
        prompts: Token ids of each prompt without its image, see :meth:`ChatModel.text_prompt`.
        answers: Token ids of each answer, at least one, with the token that ends it.
        rows_per_batch: Maximum number of answers per batch.
    """
    chat.model.eval()
    found: dict[int, float] = {}
    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    plain = [k for k, answer in enumerate(answers) if chat.image_token not in answer]
    order = sorted(plain, key=lambda k: (lengths[k], k))
    tokens = max(1, _NUMBERS // _vocabulary(chat))
    for some in _batches(order, lengths, tokens, rows_per_batch):
        means = _means(chat, [(prompts[k], answers[k]) for k in some])
        found |= zip(some, means, strict=True)
    return [found.get(k) for k in range(len(prompts))]


def _means(chat: ChatModel, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    model: Any = chat.model
    rows = [separate(EncodedEntry(list(prompt), list(answer))) for prompt, answer in pairs]
    batch = collate(rows, pad=0).to(model.device)
    inputs = model_inputs(model, batch, {})
    logits = model(**{**inputs, "logits_to_keep": 0}).logits
    means = []
    for row, (prompt, answer) in enumerate(pairs):
        first = len(prompt) - 1
        likely = logits[row, first : first + len(answer)].double().log_softmax(dim=-1)
        ids = torch.tensor(answer, device=likely.device)
        means.append(float(likely.gather(1, ids[:, None]).mean()))
    return means


def _batches(
    order: Sequence[int], lengths: Sequence[int], tokens: int, most: int
) -> Iterator[list[int]]:
    """Yield numbers of answers, ascending in length, whose padded batch has at most so many tokens.

    One answer alone may have more.
    """
    some: list[int] = []
    for number in order:
        if some and (len(some) == most or (len(some) + 1) * lengths[number] > tokens):
            yield some
            some = []
        some.append(number)
    if some:
        yield some


def _vocabulary(chat: ChatModel) -> int:
    return int(chat.model.get_output_embeddings().weight.shape[0])
