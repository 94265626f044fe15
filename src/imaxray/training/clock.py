"""How long training took: seconds on the wall, and of this process on its processors."""

from __future__ import annotations

import time
from typing import NamedTuple


class Took(NamedTuple):
    """Seconds.

    Attributes:
        wall: as a clock on the wall counts them.
        cpu: of this process, on all its processors, user and system; what other work on the
            machine takes is not in them.
    """

    wall: float
    cpu: float

    def __add__(self, other: object) -> Took:
        assert isinstance(other, Took)
        return Took(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Took) -> Took:
        return Took(self.wall - other.wall, self.cpu - other.cpu)


def now() -> Took:
    """Both clocks; only differences mean anything."""
    return Took(time.perf_counter(), time.process_time())
