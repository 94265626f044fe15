"""Lists the commands in the order in which data pass through them; the help shows this order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import typer

PANELS: Final[dict[str, tuple[str, ...]]] = {
    "Whole studies": ("study", "strategy", "report", "view", "dynamics"),
    "Releases and datasets": (
        "sources", "phantom", "build", "match", "derive", "stats", "audit", "labeller", "cache",
        "export", "formats", "share", "rebuild", "verify",
    ),
    "Models and answers": (
        "models", "train", "evaluate", "score", "compare", "annotate", "filter",
    ),
    "This machine": ("doctor", "configs", "completion"),
}  # fmt: skip
"""Heading of the help → commands below it."""


def arrange(app: typer.Typer) -> None:
    """Put each command below its heading, in the order of ``PANELS``.

    Raises:
        KeyError: If a command is not listed.
    """
    places = {
        name: (number, panel)
        for number, (panel, name) in enumerate(
            (panel, name) for panel, names in PANELS.items() for name in names
        )
    }
    for command in app.registered_commands:
        command.rich_help_panel = places[_name(command)][1]
    for group in app.registered_groups:
        assert group.name is not None
        group.rich_help_panel = places[group.name][1]
    app.registered_commands.sort(key=lambda command: places[_name(command)][0])
    app.registered_groups.sort(key=lambda group: places[str(group.name)][0])


def _name(command: typer.models.CommandInfo) -> str:
    assert command.callback is not None
    return command.name or command.callback.__name__.replace("_", "-")
