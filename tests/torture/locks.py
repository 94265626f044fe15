"""Starts a command while another process with the same output folder is in the middle of it."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torture import same
from torture.arena import Command
from torture.kill import Trials
from torture.zygote import Point


def trials(
    arena: Path, command: Command, *, times: int, done: set[str]
) -> Iterator[dict[str, Any]]:
    """Start the command twice; the second must say who holds the folder, the first must finish.

    Args:
        arena: Folder of the inputs.
        command: The command.
        times: Number of moments, spread over the first process's calls that change a file.
        done: Names of trials that are not repeated.
    """
    work = Trials(arena, command)
    wanted = work.undisturbed()
    calls = len(wanted.calls)
    for number in sorted({max(3, calls * k // (times + 1)) for k in range(1, times + 1)}):
        name = f"two-writers {number}"
        if name in done or number >= calls:
            continue
        work.fresh()
        go = arena / "go"
        go.unlink(missing_ok=True)
        first = work.start(Point(work.work, number, "wait", go=go))
        settled(work.work)
        work.logs = arena / "logs-of-the-second"
        second = work.start().wait()
        work.logs = arena / "logs"
        go.touch()
        ended = first.wait()
        said = []
        told = second.sentence or ""
        if second.code != 2 or not re.search(rf"process {first.pid} on {_host()}", told):
            said.append(f"the second ended with {second.code}: {told or second.error[-300:]}")
        if ended.code:
            said.append(f"the first ended with {ended.code}: {ended.error[-300:]}")
        said += same.differences(work.tree(), wanted.tree)
        yield {"trial": name, "ok": not said, "why": said[:10], "said": told}


def _host() -> str:
    return re.escape(socket.gethostname())


def settled(folder: Path) -> None:
    """Wait until a process that waits has stopped changing a folder."""
    last: list[tuple[str, int]] = []
    quiet = 0
    for _ in range(2400):
        now = [(entry, os.lstat(entry).st_mtime_ns) for entry in _entries(folder)]
        quiet = quiet + 1 if now and now == last else 0
        if quiet >= 40:
            return
        last = now
        time.sleep(0.05)


def _entries(folder: Path) -> list[str]:
    return [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names]  # noqa: PTH118
