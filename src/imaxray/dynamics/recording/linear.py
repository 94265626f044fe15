"""Computes per-sample weight gradients in the backward pass of Linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from imaxray.dynamics.recording.parameter_rows import Account
from imaxray.dynamics.recording.row_map import Layout, bias_rows, weight_rows

BLOCK_BYTES = 64 * 2**20
"""If the rows of a parameter need more memory than this, they are computed in blocks."""


@dataclass
class Call:
    """Describes one call of a tracked Linear: the parameters, the row map and the batch.

    Attributes:
        weight: account of the weight; None where it is frozen.
        bias: likewise.
        layout: of the input's rows.
        direct: whether what the backward returns reaches the parameters as it is (no cast between).
        ticket: of the accounts, at the time of the call.
    """

    weight: Account | None
    bias: Account | None
    layout: Layout
    direct: bool
    ticket: int


class RowLinear(torch.autograd.Function):
    """Computes ``linear(x, weight, bias)`` and records per-sample gradients in backward passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, call: Call) -> Tensor:
        """Call the standard kernel."""
        ctx.save_for_backward(x, weight)
        ctx.call = call
        return linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, weight and bias; rows to the accounts."""
        x, weight = ctx.saved_tensors
        call: Call = ctx.call
        grads: list[Tensor | None] = [None, None, None, None]
        if ctx.needs_input_grad[0]:
            grads[0] = grad @ weight
        if ctx.needs_input_grad[1] and call.weight is not None:
            grads[1] = _weight(call.weight, call, grad, x, weight.dtype)
        if ctx.needs_input_grad[2] and call.bias is not None:
            grads[2] = _bias(call.bias, call, grad, weight.dtype)
        return tuple(grads)


def _weight(account: Account, call: Call, grad: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    account.require_open(call.ticket)
    grad, x = grad.to(exact(dtype)), x.to(exact(dtype))
    layout, outputs = call.layout, grad.shape[-1]
    step = max(1, BLOCK_BYTES // (layout.count * x.shape[-1] * x.element_size()))
    if not account.in_blocks or step >= outputs:
        rows = weight_rows(grad, x, layout)
        gradient = rows.sum(0).to(dtype)
        account.hand_out(gradient, shared=not (call.direct and account.alone))
        account.add(rows)
        return gradient
    gradient = torch.empty(outputs, x.shape[-1], dtype=dtype, device=x.device)
    for start in range(0, outputs, step):
        rows = weight_rows(grad[..., start : start + step], x, layout)
        gradient[start : start + step] = rows.sum(0)
        account.deliver_block(rows)
    account.close()
    account.hand_out(gradient, shared=not call.direct)
    return gradient


def _bias(account: Account, call: Call, grad: Tensor, dtype: torch.dtype) -> Tensor:
    account.require_open(call.ticket)
    rows = bias_rows(grad.to(exact(dtype)), call.layout)
    gradient = rows.sum(0).to(dtype)
    account.hand_out(gradient, shared=not (call.direct and account.alone))
    account.add(rows)
    return gradient


def exact(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which rows are computed, which is never half precision."""
    return torch.float64 if dtype == torch.float64 else torch.float32
