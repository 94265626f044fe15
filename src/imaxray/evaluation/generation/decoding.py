"""Decodes the answers to one batch of prompts after their prefixes; finished rows are removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from imaxray.evaluation.generation.attention import Step
from imaxray.evaluation.generation.prefix_cache import Prefixes, row_cache
from imaxray.evaluation.generation.sampling import Sampling, Written, as_top, draw, top_tokens
from imaxray.models import ChatModel

_LEAVE = 8  # rows are removed once an eighth is finished, because removal copies the others


class Rows:
    """Holds the R unfinished rows: prompts, left-padded to one length, and their new tokens.

    Attributes:
        prefixes: Prefixes of the images of the rows.
        owners: Index of the image of each row, (R,) int64, sorted.
        start: Position of a row's first column in its sequence without batching, (R,) int64.
        padding: Number of padding columns on the left of each row, (R,) int64.
        numbers: Number of each row's prompt in the batch, (R,) int64.
        cache: Keys and values of the rows' own tokens.
    """

    def __init__(self, prefixes: Prefixes, owners: Tensor, padding: Tensor, capacity: int) -> None:
        self.prefixes, self.owners, self.padding = prefixes, owners, padding
        self.start = prefixes.lengths[owners] - padding
        self.numbers = torch.arange(len(owners), device=owners.device)
        self.cache = row_cache(len(prefixes.keys), capacity)
        self._place()

    def keep(self, rows: Tensor) -> None:
        """Remove all other rows, and unused prefixes once at least half of them are unused."""
        for name in ("owners", "padding", "start", "numbers"):
            setattr(self, name, getattr(self, name)[rows])
        for layer in self.cache.layers:
            layer.select(rows)
        images, owners = torch.unique_consecutive(self.owners, return_inverse=True)
        if 2 * len(images) <= len(self.prefixes.lengths):
            self.prefixes, self.owners = self.prefixes.select(images), owners
        self._place()

    def _place(self) -> None:
        """Give each row a place in a table of images × maximum number of rows per image."""
        counts = torch.bincount(self.owners, minlength=len(self.prefixes.lengths))
        self.most = int(counts.max())
        first = counts.cumsum(0) - counts
        rank = torch.arange(len(self.owners), device=self.owners.device) - first[self.owners]
        self.slots = self.owners * self.most + rank

    def positions(self, columns: Tensor) -> Tensor:
        """Return the rotary position ids of the tokens in these columns, (R, q)."""
        shift = self.prefixes.shift[self.owners]
        return (self.start + shift)[:, None] + columns

    def step(self, columns: Tensor, window: int | None) -> Step:
        """Return which prefix and own tokens queries in ``columns`` (q,) see within the window."""
        keys = torch.arange(int(self.cache.get_seq_length()) + len(columns), device=columns.device)
        own = (keys >= self.padding[:, None])[:, None] & (keys <= columns[:, None])
        there = torch.arange(self.prefixes.longest, device=columns.device)
        prefix = None
        if self.prefixes.ragged:
            prefix = (there < self.prefixes.lengths[:, None])[:, None, None, None, None]
        if window is not None:
            own &= keys > columns[:, None] - window
            asked = self.start[:, None] + columns  # (R, q), positions in the separate sequence
            near = there > asked[..., None] - window
            table = near.new_zeros((len(self.prefixes.lengths) * self.most, *near.shape[1:]))
            table = table.index_copy(0, self.slots, near)
            table = table.view(-1, 1, self.most, 1, *near.shape[1:])
            prefix = table if prefix is None else table & prefix
        return Step(
            self.prefixes.keys,
            self.prefixes.values,
            self.slots,
            self.most,
            prefix,
            own[:, None, None],
        )


@torch.inference_mode()
def decode(
    chat: ChatModel,
    prefixes: Prefixes,
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    ends: Sequence[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """Answer each prompt greedily; call this inside :func:`shared_prefix_attention`.

    Args:
        chat: Model that answers.
        prefixes: Prefixes of I images.
        suffixes: Token ids after the prefix in each prompt; none may be empty.
        owners: Index of the image of each prompt, sorted.
        ends: Token ids that end an answer.
        max_new_tokens: Maximum number of tokens per answer; longer answers are cut.

    Returns:
        New token ids of each prompt, with the token that ended the answer if there is one.
    """
    written, *_ = _loop(chat, prefixes, suffixes, owners, ends, max_new_tokens, None, False, 0)
    return written


@torch.inference_mode()
def write(
    chat: ChatModel,
    prefixes: Prefixes,
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    ends: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None = None,
    top_k: int = 0,
) -> list[Written]:
    """Answer each prompt as :func:`decode` does, and return log-probabilities of all tokens.

    Tokens are sampled if ``sampling`` is given, which holds the temperature and the seed of each
    prompt. Greedy tokens are identical to those of :func:`decode`. With ``top_k``, the most
    probable tokens at each place are returned too.
    """
    written, scores, top_ids, top_logs = _loop(
        chat, prefixes, suffixes, owners, ends, max_new_tokens, sampling, True, top_k
    )
    return [
        Written(ids, of_row[: len(ids)], as_top(top_ids[k], top_logs[k], len(ids)))
        for k, (ids, of_row) in enumerate(zip(written, scores, strict=True))
    ]


def _loop(
    chat: ChatModel,
    prefixes: Prefixes,
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    ends: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None,
    scored: bool,
    top_k: int,
) -> tuple[list[list[int]], list[list[float]], Tensor, Tensor]:
    model: Any = chat.model
    device = model.device
    longest = max(map(len, suffixes))
    padding = [longest - len(suffix) for suffix in suffixes]
    table = [[0] * gap + list(own) for gap, own in zip(padding, suffixes, strict=True)]
    ids = torch.tensor(table, device=device)
    rows = Rows(
        prefixes,
        torch.tensor(owners, device=device),
        torch.tensor(padding, device=device),
        longest + max_new_tokens,
    )
    stop = torch.tensor(list(ends), device=device)
    written = torch.full((len(suffixes), max_new_tokens), int(stop[0]), device=device)
    scores = torch.zeros(
        (len(suffixes), max_new_tokens if scored else 0), dtype=torch.float64, device=device
    )
    # on the CPU, where they are needed, because they are larger than all other results
    count_top = min(top_k, model.get_output_embeddings().weight.shape[0]) if top_k else 0
    places = (len(suffixes), max_new_tokens if top_k else 0, count_top)
    top_ids = torch.zeros(places, dtype=torch.int64)
    top_logs = torch.zeros(places, dtype=torch.float64)
    alive = torch.ones(len(suffixes), dtype=torch.bool, device=device)
    columns = torch.arange(longest, device=device)
    kinds = _windows(model)
    axes = hasattr(_inner(model), "rope_deltas")
    for count in range(max_new_tokens):
        masks = {kind: rows.step(columns, window).carrier() for kind, window in kinds.items()}
        positions = rows.positions(columns)
        out = model(
            input_ids=ids,
            attention_mask=masks.get("every") if "every" in masks else masks,
            position_ids=positions.expand(3, -1, -1) if axes else positions,
            past_key_values=rows.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = out.logits[:, -1]
        if sampling is None:
            token = logits.argmax(dim=-1)
        else:
            token = draw(logits, sampling, rows.numbers.tolist(), count)
        written[rows.numbers[alive], count] = token[alive]
        if scored:
            likely = logits.double().log_softmax(dim=-1).gather(1, token[:, None])[:, 0]
            scores[rows.numbers[alive], count] = likely[alive]
        if top_k:
            ids_here, logs_here = top_tokens(logits[alive], top_k)
            here = rows.numbers[alive].cpu()
            top_ids[here, count], top_logs[here, count] = ids_here.cpu(), logs_here.cpu()
        alive &= ~torch.isin(token, stop)
        left = int(alive.sum())
        if left == 0:
            break
        if _LEAVE * (len(alive) - left) >= len(alive):
            kept = alive.nonzero().view(-1)
            rows.keep(kept)
            token, alive = token[kept], alive[kept]
        ids = token[:, None]
        columns = columns[-1:] + 1
    cut = [_until(row, frozenset(ends)) for row in written.tolist()]
    return cut, scores.tolist(), top_ids, top_logs


def _until(ids: list[int], ends: frozenset[int]) -> list[int]:
    end = next((k for k, id_ in enumerate(ids) if id_ in ends), len(ids))
    return ids[: end + 1]


def _windows(model: Any) -> dict[str, int | None]:
    """Map kinds of layers to the width of their attention window; ``every`` if all are alike."""
    text = model.config.get_text_config()
    kinds = sorted(set(getattr(text, "layer_types", None) or ()))
    window = getattr(text, "sliding_window", None)
    if "sliding_attention" in kinds:
        return {kind: window if kind == "sliding_attention" else None for kind in kinds}
    # Mistral has no list of layer kinds; all its layers have the window, if there is one.
    return {"every": None if kinds else window}


def _inner(model: Any) -> Any:
    return next((m for m in model.modules() if hasattr(m, "rope_deltas")), None)
