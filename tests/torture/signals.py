"""Interrupts commands (SIGINT, SIGTERM): one sentence, exit code 130 or 143, and resumable."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from torture.arena import Command
from torture.kill import Trials

CODES: Final = {"SIGINT": 130, "SIGTERM": 143}


def trials(
    arena: Path, command: Command, *, times: int, seed: int, done: set[str]
) -> Iterator[dict[str, Any]]:
    """Send a signal at random moments; yield one record per signal.

    Args:
        arena: Folder of the inputs.
        command: The command.
        times: Number of moments of each signal.
        seed: Seed of the moments.
        done: Names of trials that are not repeated.
    """
    work = Trials(arena, command)
    wanted = work.undisturbed()
    draw = random.Random(f"{seed} {command.name} signals")
    for number in range(times):
        for name, code in CODES.items():
            moment, trial = draw.random(), f"{name} {number}"
            if trial in done:
                continue
            work.fresh()
            process = work.start()
            time.sleep(moment * wanted.seconds)
            hit = process.signal(getattr(signal, name))
            ended = process.wait()
            said = []
            if hit and ended.code != 0 and (ended.code != code or ended.sentence is None):
                tail = ended.error.strip().splitlines()[-1:] or ["nothing"]
                said.append(f"ended with {ended.code}: {ended.sentence or tail[0]}")
            if left := _group(process.pid):
                said.append(f"the processes {left} live on")
            said += work.ends_well(wanted)
            yield {"trial": trial, "killed": hit, "ok": not said, "why": said[:10],
                   "said": ended.sentence}  # fmt: skip


def _group(session: int) -> list[int]:
    """Return the processes of a session that live two seconds after its command has ended."""
    for _ in range(20):
        alive = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[3] == str(session) and fields[0] != "Z":
                alive.append(int(stat.parent.name))
        if not alive:
            return []
        time.sleep(0.1)
    return alive
