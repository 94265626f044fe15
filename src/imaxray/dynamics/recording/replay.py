"""Computes per-sample gradients of any small module by running it again on each sample's rows.

This is used for modules other than Linear: norms, convolutions, embeddings and raw connector
matrices. The result is exact as long as an output row depends on the input rows of its own sample
only. The cost is one more forward and backward pass of that module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from imaxray.dynamics.recording.linear import exact
from imaxray.dynamics.recording.parameter_rows import ParameterRows
from imaxray.dynamics.recording.row_map import RowGroups
from imaxray.errors import ImaxrayError


def replay_on_backward(
    module: nn.Module,
    name: str,
    all_rows: Mapping[str, ParameterRows],
    output: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    groups: RowGroups,
    guard: Callable[[bool], None],
) -> None:
    """Register a hook on ``output`` that computes the rows of the module's parameters.

    Args:
        module: Module that was called with ``args`` and ``kwargs`` and returned ``output``.
        name: Name of the module, used in messages.
        all_rows: Mapping from parameter name within the module to its rows.
        output: Output of the module, which must be one tensor.
        args: Positional arguments; the first must be the tensor (R, …) whose samples ``groups``
            describes, and no other may be a tensor.
        kwargs: Keyword arguments, none of which may be a tensor.
        groups: Samples of the R rows.
        guard: Function that is called with True before the module is run again and with False
            afterwards, so that tracked parts of the module record nothing in between.

    Raises:
        ImaxrayError: If the module does not take one tensor and return one.
    """
    others = [*args[1:], *kwargs.values()]
    if not isinstance(output, Tensor) or any(isinstance(o, Tensor) for o in others):
        raise ImaxrayError(
            f"Expected {name} to take one tensor and return one, but its call has another form; "
            "freeze it or pass its parameters in leave_out."
        )
    inputs: Tensor = args[0].detach()
    version = inputs._version
    tickets = {key: parameter_rows.ticket for key, parameter_rows in all_rows.items()}

    def replay(grad: Tensor) -> None:
        if inputs._version != version:
            raise ImaxrayError(
                f"Expected the input of {name} to stay unchanged until its backward, but it was "
                "changed in place; freeze it or pass its parameters in leave_out."
            )
        for key, parameter_rows in all_rows.items():
            parameter_rows.require_open(tickets[key])
        rows = _rows(module, all_rows, inputs, args[1:], kwargs, grad, groups, guard)
        for key, parameter_rows in all_rows.items():
            parameter_rows.hand_out(
                rows[key].sum(0).to(parameter_rows.parameter.dtype), shared=True
            )
            parameter_rows.add(rows[key])

    if output.requires_grad:
        output.register_hook(replay)  # type: ignore[no-untyped-call]


def _rows(
    module: nn.Module,
    all_rows: Mapping[str, ParameterRows],
    inputs: Tensor,
    rest: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    grad: Tensor,
    groups: RowGroups,
    guard: Callable[[bool], None],
) -> dict[str, Tensor]:
    rows = {
        key: torch.zeros(
            (groups.count, *parameter_rows.parameter.shape),
            dtype=exact(parameter_rows.parameter.dtype),
            device=parameter_rows.parameter.device,
        )
        for key, parameter_rows in all_rows.items()
    }
    guard(True)
    try:
        with torch.enable_grad():
            leaves = {k: a.parameter.detach().requires_grad_() for k, a in all_rows.items()}
            for sample in range(groups.count):
                index = groups.rows_of(sample).to(inputs.device)
                if not len(index):
                    continue
                output = functional_call(
                    module, leaves, (inputs.index_select(0, index), *rest), dict(kwargs)
                )
                given = grad.index_select(0, index)
                found = torch.autograd.grad(output, list(leaves.values()), given, allow_unused=True)
                for key, gradient in zip(leaves, found, strict=True):
                    if gradient is not None:
                        rows[key][sample] = gradient
    finally:
        guard(False)
    return rows
