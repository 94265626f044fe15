"""Computes per-sample weight gradients in the backward pass of Linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from imaxray.dynamics.recording.parameter_rows import ParameterRows
from imaxray.dynamics.recording.row_map import RowGroups, bias_rows, weight_rows

BLOCK_BYTES = 64 * 2**20
"""If the rows of a parameter need more memory than this, they are computed in blocks."""


@dataclass
class Call:
    """Describes one call of a tracked Linear: the parameters, the row map and the batch.

    Attributes:
        weight: Rows of the weight, or None if the weight is frozen.
        bias: Rows of the bias, or None if the bias is frozen.
        groups: Samples of the rows of the input.
        direct: Whether the gradients that the backward pass returns reach the parameters without a
            cast.
        ticket: Ticket of the parameter rows at the time of the call.
        block_bytes: Memory limit of the weight's rows in bytes; larger rows are computed in blocks.
    """

    weight: ParameterRows | None
    bias: ParameterRows | None
    groups: RowGroups
    direct: bool
    ticket: int
    block_bytes: int = BLOCK_BYTES


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
        """Return the gradients of input, weight and bias, and record the per-sample rows."""
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


def _weight(
    parameter_rows: ParameterRows, call: Call, grad: Tensor, x: Tensor, dtype: torch.dtype
) -> Tensor:
    parameter_rows.require_open(call.ticket)
    grad, x = grad.to(exact(dtype)), x.to(exact(dtype))
    groups, outputs = call.groups, grad.shape[-1]
    step = max(1, call.block_bytes // (groups.count * x.shape[-1] * x.element_size()))
    if not parameter_rows.in_blocks or step >= outputs:
        rows = weight_rows(grad, x, groups)
        gradient = rows.sum(0).to(dtype)
        parameter_rows.hand_out(gradient, shared=not (call.direct and parameter_rows.alone))
        parameter_rows.add(rows)
        return gradient
    gradient = torch.empty(outputs, x.shape[-1], dtype=dtype, device=x.device)
    for start in range(0, outputs, step):
        rows = weight_rows(grad[..., start : start + step], x, groups)
        gradient[start : start + step] = rows.sum(0)
        parameter_rows.deliver_block(rows)
    parameter_rows.close()
    parameter_rows.hand_out(gradient, shared=not call.direct)
    return gradient


def _bias(parameter_rows: ParameterRows, call: Call, grad: Tensor, dtype: torch.dtype) -> Tensor:
    parameter_rows.require_open(call.ticket)
    rows = bias_rows(grad.to(exact(dtype)), call.groups)
    gradient = rows.sum(0).to(dtype)
    parameter_rows.hand_out(gradient, shared=not (call.direct and parameter_rows.alone))
    parameter_rows.add(rows)
    return gradient


def exact(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which rows are computed, which is never half precision."""
    return torch.float64 if dtype == torch.float64 else torch.float32
