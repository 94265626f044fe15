"""Tells whether a process that left something behind still runs, on this machine or another."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def machine() -> str:
    """Return what must be equal for process ids to have the same meaning."""
    return " ".join([host(), *_boot()])


@lru_cache(maxsize=1)
def _boot() -> tuple[str, ...]:
    parts: list[str] = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return tuple(parts)


def started(pid: int) -> str | None:
    """Return when a process started, in the kernel's clock; None if it is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]  # a zombie has ended


def has_ended(pid: int, since: str | None) -> bool:
    """Tell whether a process of this machine has ended.

    Args:
        pid: Its number, which another process may have by now.
        since: What :func:`started` returned for it.
    """
    if os.name == "nt":
        return False  # a signal would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it lives, under another user
    # Another process may have the number by now. Without /proc nothing tells.
    return Path("/proc/self/stat").exists() and started(pid) != since
