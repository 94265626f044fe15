"""Samples tokens at a temperature; the result depends on the prompt's seed, not on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from imaxray.hashing import mixed


@dataclass(frozen=True)
class Sampling:
    """Describes how answers are sampled.

    Attributes:
        temperature: Divisor of the logits, > 0.
        seeds: Seed of each prompt, unsigned 64 bit.
    """

    temperature: float
    seeds: Sequence[int]


class TopTokens(NamedTuple):
    """The most probable tokens at one place of an answer.

    Attributes:
        ids: Token ids, the most probable first.
        logprobs: Their natural log-probabilities under the model itself (temperature 1).
    """

    ids: list[int]
    logprobs: list[float]


@dataclass(frozen=True)
class Written:
    """Holds one answer.

    Attributes:
        ids: Token ids of the answer, with the token that ended it if there is one.
        logprobs: Natural log-probability of each token under the model itself (temperature 1).
        top: The most probable tokens at the place of each token; empty if they were not asked for.
    """

    ids: list[int]
    logprobs: list[float]
    top: tuple[TopTokens, ...] = ()

    @property
    def mean(self) -> float:
        """Mean log-probability of the tokens in nats; 0 for an answer without tokens."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else 0.0


def draw(logits: Tensor, sampling: Sampling, numbers: Sequence[int], step: int) -> Tensor:
    """Sample one token per row by inverse transform sampling.

    The uniform number of a row is a hash of its seed and of the step. No generator keeps a state,
    so neither the other rows nor their order changes the result (except for rounding of the
    logits).

    Args:
        logits: Logits of the next token, (R, vocabulary).
        sampling: Temperature, and seeds of all prompts.
        numbers: Number of the prompt of each row, as an index into ``sampling.seeds``.
        step: Number of tokens that the answer has so far.

    Returns:
        Token ids, (R,) int64.
    """
    seeds = np.array([sampling.seeds[number] for number in numbers], dtype=np.uint64)
    uniform = (mixed(seeds, step) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    shares = (logits.double() / sampling.temperature).softmax(dim=-1).cumsum(dim=-1)
    # Scale by the total sum, because rounding keeps it from being exactly 1.
    places = torch.from_numpy(uniform).to(logits.device)[:, None] * shares[:, -1:]
    token = torch.searchsorted(shares, places, right=True)[:, 0]
    return token.clamp(max=logits.shape[-1] - 1)


def top_tokens(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return ids and log-probabilities (float64) of the most probable tokens, each (R, count)."""
    likely = logits.double().log_softmax(dim=-1)
    found = likely.topk(min(count, likely.shape[-1]), dim=-1)
    return found.indices, found.values


def as_top(ids: Tensor, logprobs: Tensor, length: int) -> tuple[TopTokens, ...]:
    """Return the most probable tokens of one answer of ``length`` tokens; both are (T, count)."""
    rows = zip(ids[:length].tolist(), logprobs[:length].tolist(), strict=True)
    return tuple(TopTokens(*row) for row in rows) if ids.shape[-1] else ()
