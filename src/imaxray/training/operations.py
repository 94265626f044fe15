"""Counts the floating-point operations of a training, which no other work on the machine changes.

The operations of matrix products, convolutions and attention are counted by their shapes
(``torch.utils.flop_counter``): those of the optimizer in one step, and those of forward and
backward in a sample of the steps, from which the operations of a token follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.utils import flop_counter

_MOST: Final = 16
_LEAST: Final = 4


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    count: Any = flop_counter.sdpa_flop_count
    return int(count(query, key, value))


def _attention_backward(out: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    count: Any = flop_counter.sdpa_backward_flop_count
    return int(count(out, query, key, value))


_CPU_ATTENTION: Final[Mapping[Any, Any]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""Formulas of the kernels that the counter of torch does not know; they are given shapes."""


def counted(work: Any, *args: Any) -> int:
    """Call ``work(*args)`` and return the number of floating-point operations of its kernels.

    A multiplication with an addition counts as two operations, as in most papers.

    Example:
        >>> import torch
        >>> counted(torch.mm, torch.ones(2, 3), torch.ones(3, 5))
        60
    """
    with flop_counter.FlopCounterMode(
        display=False, custom_mapping=dict(_CPU_ATTENTION)
    ) as counter:
        work(*args)
    return int(counter.get_total_flops())


def sampled(steps: int) -> list[int]:
    """Return the steps whose forward and backward are counted: every eighth, 4 to 16 in all.

    Example:
        >>> sampled(40), sampled(3)
        ([0, 8, 16, 24, 32], [0, 1, 2])
    """
    number = min(_MOST, max(_LEAST, steps // 8))
    return sorted({k * steps // number for k in range(number)})


def count_operations(trainer: Any, tokens: int) -> int:
    """Return the number of floating-point operations of a finished training.

    The weights are the same afterwards. The number depends on the schedule of the entries, the
    layout, the model and the optimizer only. Decoding and augmenting images is not counted.

    Args:
        trainer: The ``EntryTrainer`` of the training, in one process.
        tokens: Number of tokens that the training has seen.
    """
    data = trainer.train_dataset
    steps = len(data)
    kept = [(p, p.detach().clone()) for p in trainer.model.parameters() if p.requires_grad]
    operations = seen = 0
    for step in sampled(steps):
        share = data[step]
        trainer.model.zero_grad()
        operations += counted(trainer.training_step, trainer.model, share)
        seen += sum(item["batch"].tokens for item in share["passes"])
    of_optimizer = counted(trainer.optimizer.step)
    trainer.model.zero_grad()
    with torch.no_grad():
        for parameter, value in kept:
            parameter.copy_(value)
    return round(operations / seen * tokens) + of_optimizer * steps
