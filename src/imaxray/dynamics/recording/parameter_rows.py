"""Keeps the per-sample gradient rows of one parameter and knows when they are complete.

The rows of a parameter are complete when every use of it in the forward pass has received its
gradient. Uses are counted outside backward passes only, whether or not gradients are enabled. A
checkpointed segment therefore counts once in either mode, because its recomputation runs inside
the backward pass. The count only decides how early rows are freed; a gradient that arrives after
that raises an error.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from imaxray.errors import ImaxrayError

# Norms compute in float32 in models of any dtype. The errors to be found are far larger than this.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 3e-2}


def in_backward() -> bool:
    """Whether the autograd engine is running this code (in a recomputation or a hook)."""
    return bool(torch._C._current_graph_task_id() != -1)


class ParameterRows:
    """Collects the rows of one parameter in the current batch.

    Args:
        name: Name of the parameter, used in messages.
        parameter: The parameter itself.
        deliver: Function that is called with the name and the complete rows (N, size), or with the
            name and a block of their columns.
        keep: Whether the receiver keeps the rows. If so, it receives complete rows only.
    """

    def __init__(
        self, name: str, parameter: Tensor, deliver: Callable[[str, Tensor], None], *, keep: bool
    ) -> None:
        self.name = name
        self.parameter = parameter
        self._deliver = deliver
        self._keep = keep
        self._uses = 0
        self._rows: Tensor | None = None
        self._closed = False
        self._handed: tuple[int, int] | None = None
        self._total: Tensor | None = None
        self.ticket = 0

    def open(self) -> None:
        """Start a batch; calls that belong to earlier batches hold an older ticket."""
        self.ticket += 1
        self._uses, self._rows, self._closed = 0, None, False
        self._handed = self._total = None

    def use(self) -> None:
        """Count one use of the parameter in the forward pass."""
        if not in_backward():
            self._uses += 1

    @property
    def alone(self) -> bool:
        """Whether the current gradient is the only one that the parameter gets in this batch."""
        return self._uses == 1 and self._rows is None

    @property
    def in_blocks(self) -> bool:
        """Whether the rows of the current gradient may be delivered in blocks."""
        return self.alone and not self._keep

    def deliver_block(self, rows: Tensor) -> None:
        """Take a block of columns of complete rows; call :meth:`close` after the last block."""
        self._deliver(self.name, rows.flatten(1))

    def add(self, rows: Tensor) -> None:
        """Add the rows of one use, (N, …)."""
        rows = rows.flatten(1)
        self._rows = rows if self._rows is None else self._rows.add_(rows)
        self._uses -= 1
        if self._uses <= 0:
            self.close()

    def require_open(self, ticket: int) -> None:
        """Check that a gradient may still be added.

        Raises: ImaxrayError: If the rows are closed, or the gradient is from the forward pass of
            another batch.
        """
        if self._closed or ticket != self.ticket:
            raise ImaxrayError(
                f"Expected every gradient of {self.name} before its rows were closed, but one more "
                "came; do not run backward twice through one forward pass, and call begin() before "
                "the forward pass and end() after its backward pass."
            )

    def close(self) -> None:
        """Deliver the rows to the receiver and free them."""
        if not self._closed and self._rows is not None:
            self._deliver(self.name, self._rows)
        self._rows, self._closed = None, True

    def hand_out(self, gradient: Tensor, *, shared: bool) -> None:
        """Remember the gradient that autograd gets for these rows, for the check in :meth:`prove`.

        Args:
            gradient: Sum of the rows, in the dtype of the parameter.
            shared: Whether the parameter may get more gradients in this backward pass.
        """
        if shared or self._total is not None:
            clone = gradient.detach().clone()
            self._total = clone if self._total is None else self._total.add_(clone)
        else:
            # A reference to the tensor would force autograd to copy it into .grad.
            self._handed = (gradient.data_ptr(), gradient._version)

    def prove(self, gradient: Tensor) -> None:
        """Check that the gradient that reaches the parameter is the sum of its rows.

        This is the hook of the parameter.

        Raises:
            ImaxrayError: If the parameter was used in a way that was not recorded (its weight was
                used directly, a copy is tied to it, or a forward pass ran outside the recorder).
        """
        handed, total = self._handed, self._total
        self._handed = self._total = None
        if handed == (gradient.data_ptr(), gradient._version):
            return
        if total is not None:
            scale = gradient.norm() + total.norm()
            if bool((gradient - total).norm() <= _TOLERANCE[gradient.dtype] * scale):
                return
        raise ImaxrayError(
            f"Expected the gradient of {self.name} to be the sum of its per-sample rows, but it is "
            "not: the parameter is also used outside its layer's own forward; freeze it or pass it "
            "in leave_out."
        )
