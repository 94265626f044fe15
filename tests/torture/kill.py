"""Kills commands at random moments and at calls of the system, and starts them again until done."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture import same
from torture.arena import Command
from torture.zygote import Outcome, Point, Process


@dataclass(frozen=True)
class Undisturbed:
    """What a command does when nobody disturbs it.

    Attributes:
        tree: Digests of what it leaves.
        seconds: Seconds that it takes.
        calls: Calls that change a file, in order.
        noise: What differs between two undisturbed runs; must be empty.
    """

    tree: dict[str, str]
    seconds: float
    calls: list[str]
    noise: list[str]


class Trials:
    """Runs one command many times, always into the same folder, so that paths do not differ.

    Args:
        arena: Folder of the inputs.
        command: The command.
    """

    def __init__(self, arena: Path, command: Command) -> None:
        self.arena = arena
        self.command = command
        self.work = arena / "work"
        self.out = self.work / "out"
        self.logs = arena / "logs"

    def fresh(self) -> None:
        """Empty the work folder."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()

    def start(
        self, point: Point | None = None, first: Sequence[str] = (), **options: Any
    ) -> Process:
        """Start the command, with the words ``first`` before its name."""
        words = [*first, *self.command.arguments(self.arena, self.out)]
        return Process(words, self.logs, point=point, **options)

    def tree(self) -> dict[str, str]:
        """Return the digests of what lies in the work folder."""
        return same.tree(self.work)

    def undisturbed(self) -> Undisturbed:
        """Run the command twice, or read what an earlier call found.

        Raises:
            RuntimeError: If the command fails.
        """
        path = self.arena / f"undisturbed-{self.command.name}.json"
        if path.exists():
            return Undisturbed(**json.loads(path.read_text()))
        trees, seconds, log = [], [], self.arena / "calls.txt"
        for point in (Point(self.work, log=log), None):
            self.fresh()
            done = self.start(point).wait()
            if done.code:
                raise RuntimeError(f"{self.command.name} ended with {done.code}:\n{done.error}")
            trees.append(self.tree())
            seconds.append(done.seconds)
        found = Undisturbed(
            trees[0], min(seconds), log.read_text().splitlines(),
            same.differences(trees[1], trees[0]),
        )  # fmt: skip
        path.write_text(json.dumps(found.__dict__))
        return found

    def ends_well(self, wanted: Undisturbed) -> list[str]:
        """Start the command again and say what is not as after an undisturbed run."""
        said = [f"after the kill, {what}" for what in same.lying(self.work)]
        done = self.start().wait()
        if done.code:
            return [*said, f"started again, it ended with {done.code}: {_last(done)}"]
        return said + same.differences(self.tree(), wanted.tree)


def trials(
    arena: Path, command: Command, *, kills: int, points: int, seed: int, done: set[str]
) -> Iterator[dict[str, Any]]:
    """Kill a command; yield one record per trial.

    Args:
        arena: Folder of the inputs.
        command: The command.
        kills: Number of kills at moments that are uniform over the undisturbed run.
        points: Number of kills right before a call that changes a file, spread over all calls.
        seed: Seed of moments and calls.
        done: Names of trials that are not repeated.
    """
    work = Trials(arena, command)
    wanted = work.undisturbed()
    if wanted.noise:
        yield {"trial": "noise", "ok": False, "why": wanted.noise}
    draw = random.Random(f"{seed} {command.name}")
    moments = [("random", draw.random()) for _ in range(kills)]
    calls = range(len(wanted.calls))
    chosen = sorted(draw.sample(calls, min(points, len(calls))))
    for kind, where in [*moments, *(("call", number) for number in chosen)]:
        name = f"{kind} {where:.6f}" if kind == "random" else f"{kind} {where}"
        again = draw.random() < 0.2  # the second start is killed, too
        if name not in done:
            yield {"trial": name, **_trial(work, wanted, kind, where, again, draw)}


def _trial(
    work: Trials, wanted: Undisturbed, kind: str, where: float, again: bool, draw: random.Random
) -> dict[str, Any]:
    work.fresh()
    began = time.perf_counter()
    killed = _killed(work, wanted, kind, where)
    if killed and again:
        _killed(work, wanted, "random", draw.random())
    said = work.ends_well(wanted)
    call = wanted.calls[int(where)].replace(f"{work.work}/", "") if kind == "call" else None
    return {
        "ok": not said, "killed": killed, "call": call, "why": said[:20],
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip


def _killed(work: Trials, wanted: Undisturbed, kind: str, where: float) -> bool:
    """Start the command and kill it; return whether it was killed before its end."""
    if kind == "call":
        return work.start(Point(work.work, int(where))).wait().code == -signal.SIGKILL
    process = work.start()
    time.sleep(where * wanted.seconds)
    hit = process.signal(signal.SIGKILL)
    process.wait()
    return hit


def _last(done: Outcome) -> str:
    lines = done.error.strip().splitlines()
    return done.sentence or (lines[-1] if lines else "it says nothing")
