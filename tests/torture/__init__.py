"""Runs the commands under kill, damage, concurrency, full disks and odd environments.

The folder lies in ``tests`` because its cases are assertions: ``test_short.py`` runs a few of them
with the ordinary tests, and ``python -m torture`` (``make torture``) runs all of them and prints
the figures of RELIABILITY.md.
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


def _commands(options: argparse.Namespace) -> Iterator[str]:
    from torture import arena

    yield from options.command or (arena.LIGHT if options.light else arena.COMMANDS)


def _kill(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import arena, kill

    for name in _commands(options):
        yield name, lambda done, name=name: kill.trials(  # type: ignore[misc]
            inputs, arena.COMMANDS[name], kills=options.kills, points=options.points,
            seed=options.seed, done=done,
        )  # fmt: skip


def _damage(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import arena, damage

    other = arena.make(inputs.with_name("second"), other=True, light=options.light)
    for name in _commands(options):
        yield (
            name,
            lambda done, name=name: damage.trials(  # type: ignore[misc]
                inputs,
                other,
                arena.COMMANDS[name],
                flips=options.flips,
                seed=options.seed,
                done=done,
                share=options.share,
            ),
        )


def _locks(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import arena, locks

    for name in _commands(options):
        yield (
            name,
            lambda done, name=name: locks.trials(  # type: ignore[misc]
                inputs, arena.COMMANDS[name], times=options.times, done=done
            ),
        )


def _trouble(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import arena, trouble

    for name in _commands(options):
        yield (
            name,
            lambda done, name=name: trouble.trials(  # type: ignore[misc]
                inputs, arena.COMMANDS[name], times=options.times, done=done
            ),
        )


def _signals(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import arena, signals

    for name in _commands(options):
        yield (
            name,
            lambda done, name=name: signals.trials(  # type: ignore[misc]
                inputs, arena.COMMANDS[name], times=options.times, seed=options.seed, done=done
            ),
        )


def _environments(options: argparse.Namespace, inputs: Path) -> Iterator[tuple[str, Trial]]:
    from torture import environments

    for name in ("build", "study"):
        if name in (options.command or (name,)):
            yield (
                name,
                lambda done, name=name: environments.trials(  # type: ignore[misc]
                    inputs, name, done=done
                ),
            )


PARTS: Final[dict[str, Part]] = {
    "kill": _kill, "damage": _damage, "locks": _locks, "trouble": _trouble, "signals": _signals,
    "environments": _environments,
}  # fmt: skip
"""The parts of the torture, by name."""
