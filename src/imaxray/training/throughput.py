"""Measures how much faster the packed layout trains than the separate layout on this machine."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from imaxray.models import ChatModel
from imaxray.packing import entry_losses, model_inputs, use_packed_attention
from imaxray.training.config import TrainingConfig
from imaxray.training.optimizer import make_optimizer


@dataclass(frozen=True)
class Throughput:
    """Holds the entries per second of two layouts and their ratio.

    Attributes:
        packed: Median entries per second with the packed layout.
        separate: Median entries per second with one sequence per entry.
        ratio: Median of the ratios of consecutive runs.
        ratios: Ratio packed / separate of each pair of consecutive runs.
        packed_tokens: Mean number of tokens per entry with the packed layout.
        separate_tokens: Mean number of tokens per entry with the separate layout.
    """

    packed: float
    separate: float
    ratio: float
    ratios: tuple[float, ...]
    packed_tokens: float
    separate_tokens: float


def measure_throughput(
    chat: ChatModel,
    packed: Sequence[dict[str, Any]],
    separate: Sequence[dict[str, Any]],
    config: TrainingConfig,
    *,
    repeats: int = 5,
) -> Throughput:
    """Time whole training steps (forward, backward, optimizer) of both layouts in one process.

    Args:
        chat: Model of which a copy is trained; its own weights do not change.
        packed: Items of a :class:`StepDataset` with the packed layout.
        separate: Items of a :class:`StepDataset` with the separate layout.
        config: Settings of the optimizer and number of threads.
        repeats: Number of pairs of runs; each run trains on all its items.
    """
    torch.set_num_threads(config.threads)
    rates: dict[str, list[float]] = {"packed": [], "separate": []}
    steppers = {
        "packed": _Stepper(chat, packed, config),
        "separate": _Stepper(chat, separate, config),
    }
    for stepper in steppers.values():
        stepper.run(1)  # warm up: allocator, kernels, optimizer state
    for _ in range(repeats):
        for name, stepper in steppers.items():
            rates[name].append(stepper.run(None))
    ratios = tuple(p / s for p, s in zip(rates["packed"], rates["separate"], strict=True))
    return Throughput(
        packed=statistics.median(rates["packed"]),
        separate=statistics.median(rates["separate"]),
        ratio=statistics.median(ratios),
        ratios=ratios,
        packed_tokens=_tokens(packed),
        separate_tokens=_tokens(separate),
    )


class _Stepper:
    """Trains a copy of the model on given items."""

    def __init__(
        self, chat: ChatModel, items: Sequence[dict[str, Any]], config: TrainingConfig
    ) -> None:
        self._model = copy.deepcopy(chat.model).train()
        self._items = items
        if any(item["batch"].packed for item in items):
            use_packed_attention(self._model)
        self._optimizer = make_optimizer(self._model, config)

    def run(self, limit: int | None) -> float:
        """Train on the items, or on the first ``limit`` of them, and return entries per second."""
        entries, started = 0, time.perf_counter()
        for item in self._items[:limit]:
            batch = item["batch"]
            inputs = model_inputs(self._model, batch, item["images"])
            loss = entry_losses(self._model(**inputs).logits, batch).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._optimizer.zero_grad()
            entries += batch.entries
        return entries / (time.perf_counter() - started)


def _tokens(items: Sequence[dict[str, Any]]) -> float:
    tokens = sum(item["batch"].tokens for item in items)
    return float(tokens / sum(item["batch"].entries for item in items))
