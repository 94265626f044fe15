"""Runs the commands under kill, damage, concurrency, full disks and odd environments.

The folder lies in ``tests`` because its cases are assertions: ``test_short.py`` runs a few of each
with the ordinary tests, and ``python -m torture`` (``make torture``) runs all of them and prints the
figures of RELIABILITY.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

Trial = Callable[[set[str]], Iterator[dict[str, Any]]]
"""Yields a record per trial whose name is not in the set."""

Part = Callable[[argparse.Namespace, Path], Iterator[tuple[str, Trial]]]
"""Yields the name and the trials of each command."""


def _kill(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import arena, kill

    for name in options.command or arena.COMMANDS:
        yield name, lambda done, name=name: kill.trials(  # type: ignore[misc]
            inputs, arena.COMMANDS[name], kills=options.kills, points=options.points,
            seed=options.seed, done=done,
        )  # fmt: skip


PARTS: Final[dict[str, Part]] = {"kill": _kill}
"""The parts of the torture, by name."""
