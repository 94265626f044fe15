"""A Linear whose backward forms per-sample weight gradients; their sum is the ordinary one."""

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
"""Rows of a parameter that would take more are formed and used block by block."""


@dataclass
class Call:
    """One call of a tracked Linear: whose rows, and where they go.

    Attributes:
        weight: rows of the weight; None where it is frozen.
        bias: likewise.
        groups: of the input's rows.
        direct: whether what the backward returns reaches the parameters as it is (no cast between).
        ticket: of the parameter rows, at the time of the call.
        block_bytes: rows of the weight that would take more are formed block by block.
    """

    weight: ParameterRows | None
    bias: ParameterRows | None
    groups: RowGroups
    direct: bool
    ticket: int
    block_bytes: int = BLOCK_BYTES


class RowLinear(torch.autograd.Function):
    """``linear(x, weight, bias)`` that also accounts for per-sample gradients in its backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, call: Call) -> Tensor:
        """The stock kernel."""
        ctx.save_for_backward(x, weight)
        ctx.call = call
        return linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, weight and bias; rows to :class:`ParameterRows`."""
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
    """The dtype that rows are formed in: never half precision."""
    return torch.float64 if dtype == torch.float64 else torch.float32
