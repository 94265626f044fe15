"""Prints the units of a study with their states."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imaxray._common.printing import say
from imaxray.cli.printing.tables import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from imaxray.study import StudyConfig


def print_units(config: StudyConfig, out: Path, form: str = "text") -> None:
    """Print the units of a study with their states."""
    from rich.table import Table

    from imaxray.progress import SafeConsole
    from imaxray.study import unit_states

    states = unit_states(config, out)
    if form == "json":
        print_json(states)
        return
    table = Table()
    table.add_column("unit")
    table.add_column("state")
    for name, state in states.items():
        table.add_row(name, state)
    SafeConsole(width=None if sys.stdout.isatty() else 140).print(table)
    done = sum(state == "done" for state in states.values())
    say(f"{done} of {len(states)} units are done.")
