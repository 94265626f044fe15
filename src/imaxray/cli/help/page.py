"""Writes the page docs/command-line.md from the application itself; a test compares the two."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from imaxray.cli.help.examples import EXAMPLES
from imaxray.cli.help.outputs import OUTPUTS


def command_line_page() -> str:
    """Return the page: exit codes, completion, all commands with examples, and what JSON holds."""
    lines = ["| command | what it does | example |", "| --- | --- | --- |"]
    for name, command in commands():
        first = " ".join((command.help or "").split("\n\n")[0].split())
        example = "<br>".join(f"`{line}`" for line in EXAMPLES.get(name, ()))
        lines.append(f"| `{name}` | {_cell(first)} | {_cell(example)} |")
    parts: list[str] = []
    for name, output in OUTPUTS.items():
        kind = "a list of objects" if output.rows else "an object"
        if output.like:
            kind = f"an object whose keys are {output.like}"
        parts += [f"### `{name} {output.flag}`", "", f"Prints {kind}:", "",
                  "| key | content |", "| --- | --- |"]  # fmt: skip
        parts += [f"| `{key}` | {_cell(said)} |" for key, said in output.keys.items()]
        parts.append("")
    page = files("imaxray.cli.help").joinpath("page.md").read_text(encoding="utf-8")
    outputs = "\n".join(parts).rstrip()
    return page.replace("{commands}", "\n".join(lines)).replace("{outputs}", outputs)


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every command, sorted by name."""
    from typer.main import get_command

    from imaxray.cli.commands import app

    def walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, command in sorted(group.commands.items()):
            if hasattr(command, "commands"):
                yield from walk(command, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", command

    return walk(get_command(app), "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(command_line_page())
