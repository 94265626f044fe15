"""Turns out-of-memory errors into one plain error message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from imaxray.errors import ImaxrayError
from imaxray.training.config import TrainingConfig

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory")


@contextmanager
def told_when_memory_runs_out(config: TrainingConfig) -> Iterator[None]:
    """Turn every kind of out-of-memory error, of GPU or CPU, into one plain sentence.

    Raises:
        ImaxrayError: If memory runs out inside the block, or the model sees another image size than
            its processor announced.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
            sign in text for sign in _SIGNS
        ):
            raise ImaxrayError(
                f"Expected a step to fit into memory, but it ran out; {_advice(config)}."
            ) from error
        raise
    except ValueError as error:
        if "image features and image tokens do not match" not in str(error).lower():
            raise
        raise ImaxrayError(
            f"Expected as many image features as image tokens, but the processor prepared an image "
            f"in another size than it wrote into the prompt ({error}); use the unchanged processor "
            "that belongs to the model."
        ) from error


def _advice(config: TrainingConfig) -> str:
    now = config.tokens_per_batch
    least = f" below {now}" if now else ", for example to 4096"
    advice = [f"lower --tokens-per-batch{least}"]
    if not config.gradient_checkpointing:
        advice.append("add --gradient-checkpointing")
    if config.method == "full":
        advice.append("use --method lora")
    return " or ".join(advice)
