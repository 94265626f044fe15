"""Averages the weights of a training run over its steps.

The average of the weights along a training run is often a better and better calibrated model than
its last weights (Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407), and therefore a
better teacher (Tarvainen and Valpola 2017, arXiv:1703.01780).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import TrainerCallback

from imaxray.errors import ImaxrayError

_FILE: Final = "average.safetensors"


class WeightAverage(TrainerCallback):  # type: ignore[misc]
    """Exponential moving average of the trained weights, in float32.

    After step t, the average moves towards the weights by ``max(1 - decay, 1 / t)``. It is
    therefore the plain mean of the weights after all steps so far, until an exponential average
    remembers less than that; the initial weights have no part in it.

    Args:
        model: Model whose trained parameters are averaged. Parameters may be sharded; each process
            then averages its own shards.
        decay: Decay of the average, between 0 and 1.

    Example:
        >>> layer = torch.nn.Linear(1, 1, bias=False)
        >>> average = WeightAverage(layer, 0.9)
        >>> for step, weight in enumerate([1.0, 2.0, 6.0], start=1):
        ...     _ = torch.nn.init.constant_(layer.weight, weight)
        ...     average.update(step)
        >>> with average.in_place():
        ...     layer.weight.item()  # the mean of 1, 2 and 6
        3.0
        >>> layer.weight.item()
        6.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._mean: dict[str, torch.Tensor] = {}  # filled late, since sharding changes parameters

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take in the weights after an optimizer step."""
        self.update(state.global_step)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step ``step``, which counts from 1."""
        share = max(1 - self._decay, 1 / step)
        for name, parameter in self._trained().items():
            now = parameter.detach().float()
            if name in self._mean:
                self._mean[name].add_(now - self._mean[name], alpha=share)
            else:
                self._mean[name] = now.clone()

    @torch.no_grad()
    def apply(self) -> None:
        """Replace the trained weights of the model by their average."""
        for name, parameter in self._trained().items():
            parameter.copy_(self._mean[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Run a block in which the model has the average of its weights."""
        kept = {name: parameter.detach().clone() for name, parameter in self._trained().items()}
        self.apply()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self._trained().items():
                    parameter.copy_(kept[name])

    def write(self, folder: Path, *, writes: bool) -> None:
        """Write the average into a checkpoint; every process must call this function."""
        found = {}
        for name, mean in self._mean.items():
            whole = mean.full_tensor() if isinstance(mean, DTensor) else mean
            if writes:
                found[name] = whole.cpu().contiguous()
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(found, folder / _FILE)

    def read(self, folder: Path) -> None:
        """Read the average from a checkpoint.

        Raises:
            ImaxrayError: If the checkpoint holds no average, or that of other weights.
        """
        path = folder / _FILE
        saved = load_file(path) if path.exists() else {}
        trained = self._trained()
        if set(saved) != set(trained):
            raise ImaxrayError(
                f"Expected an average of {len(trained)} trained tensors in {folder}, but it holds "
                f"{len(saved)}; remove that checkpoint to train from the start, or choose another "
                "--out."
            )
        for name, parameter in trained.items():
            tensor = saved[name].to(parameter.device)
            if isinstance(parameter, DTensor):
                tensor = distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
            self._mean[name] = tensor

    def _trained(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self._model.named_parameters() if p.requires_grad}
