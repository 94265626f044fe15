"""Samples tokens at a temperature; the result depends on the prompt's seed, not on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Written:
    """Holds one answer.

    Attributes:
        ids: Token ids of the answer, with the token that ended it if there is one.
        logprobs: Natural log-probability of each token under the model itself (temperature 1).
    """

    ids: list[int]
    logprobs: list[float]

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
