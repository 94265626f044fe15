"""Per-sample gradients of any small module: run it again on each sample's rows alone.

For what is no Linear: norms, convolutions, embeddings, raw connector matrices. Exact as long as an
output row depends on the input rows of its own sample only; costs one more forward and backward of
that module.
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
    """Arrange that the gradient of ``output`` gives the rows of the module's parameters.

    Args:
        module: was called with ``args`` and ``kwargs`` and returned ``output``.
        name: its name, for messages.
        all_rows: parameter name within the module → its rows.
        output: must be one tensor.
        args: the first is the tensor (R, …) that ``groups`` tells the samples of.
        kwargs: must hold no tensor.
        groups: of the R rows.
        guard: called with True before the module is run again and with False after, so that its
            tracked parts stay still.

    Raises:
        ImaxrayError: the call has another form.
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
                f"Expected the input of {name} to be left as it was until its backward, but it was "
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
