"""Checks at run time that packed rows give a model the loss and gradient of separate sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imaxray.models import EncodedEntry
from imaxray.packing.attention import TOKENS_PER_CALL
from imaxray.packing.batch import collate
from imaxray.packing.inputs import model_inputs
from imaxray.packing.loss import entry_losses
from imaxray.packing.plan import PackingPlan, lay_out


@dataclass(frozen=True)
class Gap:
    """Holds the relative differences between the packed and the separate layout.

    Attributes:
        loss: Largest difference of an entry's loss, relative to the largest loss.
        gradient: Norm of the difference of the whole gradient (all trainable parameters
            concatenated), relative to the norm of the gradient of the separate layout.
    """

    loss: float
    gradient: float


def packing_gap(
    model: Any,
    groups: Sequence[Sequence[EncodedEntry]],
    images: Callable[[list[int]], Mapping[str, Tensor]],
    image_token: int,
    *,
    tokens_per_row: int | None = None,
    pad: int = 0,
    tokens_per_call: int = TOKENS_PER_CALL,
) -> Gap:
    """Compare loss and gradient of the same entries in both layouts.

    Use float64 weights and no dropout for a proof; in half precision, rounding causes the gap.

    Args:
        model: Model to check; its gradients are cleared before and afterwards.
        groups: Encoded entries, grouped by image.
        images: Function that returns the image inputs of the groups with the given numbers, joined
            in this order.
        image_token: Id of the image placeholder.
        tokens_per_row: Token budget of a row, as in :func:`lay_out`.
        pad: Id of the padding token.
        tokens_per_call: Minimum number of tokens per attention call, as in :func:`model_inputs`.
    """
    plans = [
        lay_out(groups, image_token, packed=True, tokens_per_row=tokens_per_row),
        lay_out(groups, image_token, packed=False),
    ]
    (a, ga), (b, gb) = (
        _run(model, plan, images(plan.images), pad, tokens_per_call) for plan in plans
    )
    where = {entry: k for k, entry in enumerate(plans[0].entries)}
    a = a[[where[entry] for entry in plans[1].entries]]
    return Gap(
        loss=float((a - b).abs().max() / b.abs().max()),
        gradient=float((ga - gb).norm() / gb.norm()),
    )


def _run(
    model: Any,
    plan: PackingPlan,
    images: Mapping[str, Tensor],
    pad: int,
    tokens_per_call: int,
) -> tuple[Tensor, Tensor]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    batch = collate(plan.rows, pad=pad).to(device)
    model.zero_grad(set_to_none=True)
    moved = {name: value.to(device) for name, value in images.items()}
    inputs = model_inputs(model, batch, moved, tokens_per_call=tokens_per_call)
    losses = entry_losses(model(**inputs).logits, batch)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    gradient = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
    )
    model.zero_grad(set_to_none=True)
    return losses.detach(), gradient
