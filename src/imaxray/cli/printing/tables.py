"""Prints any table, and any value as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from imaxray._common.printing import say

if TYPE_CHECKING:
    pass


def print_json(value: Any) -> None:
    """Print a value as JSON; what could not be measured is null."""
    from imaxray.evaluation.comparing.resampling import finite

    say(json.dumps(finite(value), indent=1, default=str))


def print_table(title: str | None, header: list[str], rows: list[list[str]]) -> None:
    """Print a table in the width of the terminal, or in 160 columns in a file or a pipe."""
    from rich.table import Table

    from imaxray.progress import SafeConsole

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(header):
        table.add_column(column, justify="left" if index == 0 else "default", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # a file or a pipe has no width of its own
    SafeConsole(width=None if sys.stdout.isatty() else 160).print(table)
