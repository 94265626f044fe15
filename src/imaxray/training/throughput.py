"""How much faster packing is, on this machine, for these entries: both layouts in turn."""

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
    """Entries per second of two layouts, and the ratio.

    Attributes:
        packed: median entries per second, packed.
        separate: median entries per second, one sequence an entry.
        ratio: median of the ratios of neighbouring runs.
        ratios: those ratios.
        packed_tokens: tokens an entry, packed.
        separate_tokens: tokens an entry, separate.
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
        chat: its weights are left as they are; a copy is trained.
        packed: items of a packed :class:`StepDataset`.
        separate: items of a separate one.
        config: optimizer and threads.
        repeats: pairs of runs; each run goes through all its items.
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
        """Entries per second over the items (the first ``limit`` of them)."""
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
