"""Each parameter has one :class:`ParameterRows`: its per-sample gradient rows, complete or not.

Rows of a parameter are complete when every use of it in the forward pass has been answered by a
gradient. Uses are counted outside backward passes only, whether or not gradients are on: so a
checkpointed segment counts once in either mode (its recomputation runs inside the backward pass).
The count only decides how early rows are freed; a gradient that comes after that raises.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from imaxray.errors import ImaxrayError

# norms compute in float32 in models of any dtype; what this looks for is larger by far
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 3e-2}


def in_backward() -> bool:
    """Whether the autograd engine runs us (a recomputation, a hook)."""
    return bool(torch._C._current_graph_task_id() != -1)


class ParameterRows:
    """Rows of one parameter in the current batch.

    Args:
        name: of the parameter, for messages.
        parameter: the parameter itself.
        deliver: called with the complete rows (N, size), or a block of their columns.
        keep: whether the receiver keeps what it gets (then it gets whole rows only).
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
        """Start a batch; calls of earlier ones hold another ticket."""
        self.ticket += 1
        self._uses, self._rows, self._closed = 0, None, False
        self._handed = self._total = None

    def use(self) -> None:
        """Count one use in the forward pass."""
        if not in_backward():
            self._uses += 1

    @property
    def alone(self) -> bool:
        """Whether the gradient at hand is the only one the parameter gets in this batch."""
        return self._uses == 1 and self._rows is None

    @property
    def in_blocks(self) -> bool:
        """Whether that gradient may be delivered block by block."""
        return self.alone and not self._keep

    def deliver_block(self, rows: Tensor) -> None:
        """Take a block of columns of complete rows; :meth:`close` follows the last."""
        self._deliver(self.name, rows.flatten(1))

    def add(self, rows: Tensor) -> None:
        """Take the rows of one use, (N, …)."""
        rows = rows.flatten(1)
        self._rows = rows if self._rows is None else self._rows.add_(rows)
        self._uses -= 1
        if self._uses <= 0:
            self.close()

    def require_open(self, ticket: int) -> None:
        """Refuse a gradient for rows that were closed, or of another batch's forward pass."""
        if self._closed or ticket != self.ticket:
            raise ImaxrayError(
                f"Expected every gradient of {self.name} before its rows were closed, but one more "
                "came; do not run backward twice through one forward pass, and call begin() before "
                "the forward pass and end() after its backward pass."
            )

    def close(self) -> None:
        """Hand the rows on and free them."""
        if not self._closed and self._rows is not None:
            self._deliver(self.name, self._rows)
        self._rows, self._closed = None, True

    def hand_out(self, gradient: Tensor, *, shared: bool) -> None:
        """Remember the gradient that goes to the engine for these rows, so as to prove it whole.

        Args:
            gradient: sum of the rows, in the parameter's dtype.
            shared: whether the parameter may get more gradients in this pass.
        """
        if shared or self._total is not None:
            clone = gradient.detach().clone()
            self._total = clone if self._total is None else self._total.add_(clone)
        else:
            # no reference: one would keep the engine from using the tensor as .grad without a copy
            self._handed = (gradient.data_ptr(), gradient._version)

    def prove(self, gradient: Tensor) -> None:
        """Hook of the parameter: what reaches it must be the sum of the rows, nothing less or more.

        Raises:
            ImaxrayError: the parameter was used in a way that was not seen (its weight taken by
                hand, a tied copy, a forward pass outside the recorder).
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
