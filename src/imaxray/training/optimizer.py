"""Creates the optimizer of a recipe: AdamW, or Muon for matrices with AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon

from imaxray.training.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Create the optimizer of a configuration for all trainable parameters."""
    if config.optimizer == "muon":
        return MuonWithAdamW(
            model,
            config.learning_rate,
            config.muon_learning_rate,
            config.weight_decay,
            config.betas,
        )
    trainable = [p for p in model.parameters() if p.requires_grad]
    return AdamW(
        trainable,
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
    )


class MuonWithAdamW(torch.optim.Optimizer):
    """Applies Muon to weight matrices of layers and AdamW to all other parameters.

    The other parameters are embeddings, norms, biases and convolutions. With Muon (Jordan et al.
    2024; update scaled to AdamW's RMS, Liu et al. 2025, arXiv:2502.16982), a small model learns
    from scratch with about half the entries that AdamW needs.
    """

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        muon_rate: float,
        weight_decay: float,
        betas: tuple[float, float],
    ) -> None:
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        matrices = [p for n, p in named if p.dim() == 2 and "embed" not in n and "lm_head" not in n]
        taken = {id(p) for p in matrices}
        rest = [p for _, p in named if id(p) not in taken]
        parts: list[torch.optim.Optimizer] = []
        if matrices:
            parts.append(
                Muon(
                    matrices,
                    lr=muon_rate,
                    weight_decay=weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                    ns_steps=5,
                )
            )
        if rest:  # adapters consist of matrices alone
            parts.append(AdamW(rest, lr=learning_rate, betas=betas, weight_decay=weight_decay))
        self._parts = tuple(parts)
        super().__init__([*matrices, *rest], {})
        # These are the same dictionaries as in the parts, so that a scheduler changes both
        # optimizers.
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step both parts."""
        if closure is not None:
            raise ValueError("closures are not supported")
        for part in self._parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of both parts."""
        for part in self._parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both parts."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both parts."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]
