"""Tokens drawn by a temperature: which one depends on the prompt's own seed, never on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imaxray.hashing import mixed


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        temperature: > 0, logits are divided by it.
        seeds: of each prompt, unsigned 64 bit.
    """

    temperature: float
    seeds: Sequence[int]


@dataclass(frozen=True)
class Written:
    """One answer.

    Attributes:
        ids: its tokens, with the one that ended it, if one did.
        logprobs: natural log-probability of each, by the model itself (temperature 1).
    """

    ids: list[int]
    logprobs: list[float]

    @property
    def mean(self) -> float:
        """Mean log-probability of the tokens, nats; 0 of an answer without any."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else 0.0


def draw(logits: Tensor, sampling: Sampling, numbers: Sequence[int], step: int) -> Tensor:
    """One token a row by inverse transform.

    The uniform number of a row is a hash of its seed and of the step: no generator has a state, so
    neither the other rows nor their order matter (to rounding of the logits).

    Args:
        logits: (R, vocabulary).
        sampling: of all prompts.
        numbers: which of the prompts each row is.
        step: how many tokens the answer has so far.

    Returns:
        (R,) int64.
    """
    seeds = np.array([sampling.seeds[number] for number in numbers], dtype=np.uint64)
    uniform = (mixed(seeds, step) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    shares = (logits.double() / sampling.temperature).softmax(dim=-1).cumsum(dim=-1)
    # of the whole sum, which rounding keeps from being 1
    places = torch.from_numpy(uniform).to(logits.device)[:, None] * shares[:, -1:]
    token = torch.searchsorted(shares, places, right=True)[:, 0]
    return token.clamp(max=logits.shape[-1] - 1)
