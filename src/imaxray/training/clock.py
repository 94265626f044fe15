"""Measures how long training takes, in wall-clock seconds and in CPU seconds of this process."""

from __future__ import annotations

import time
from typing import NamedTuple


class Took(NamedTuple):
    """Holds a duration in seconds.

    Attributes:
        wall: Wall-clock seconds.
        cpu: CPU seconds of this process on all its processors, user and system time. Time of other
            processes on the machine is not included.
    """

    wall: float
    cpu: float

    def __add__(self, other: object) -> Took:
        assert isinstance(other, Took)
        return Took(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Took) -> Took:
        return Took(self.wall - other.wall, self.cpu - other.cpu)


def now() -> Took:
    """Return the readings of both clocks; only differences between two readings have a meaning."""
    return Took(time.perf_counter(), time.process_time())
