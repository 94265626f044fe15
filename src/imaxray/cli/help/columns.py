"""Shows the help of a command so that it can be read at 80 columns, with every name complete."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    import typer

_WIDE: Final = 14
"""Characters of a type that stand beside an option in one line; longer ones are divided."""

_LONG: Final = 24
"""Characters of a name that stand in one line of the text beside an option."""

_FAR: Final = 1000
"""Upper bounds from here on only keep a slip from freezing a command; the help leaves them out."""


class _Readable:
    """Shows the help of a command or a group; it stands before the class that parses."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        shown = _shown(self, ctx)
        super(_Readable, shown).format_help(ctx, formatter)  # type: ignore[misc]


def make_readable(app: typer.Typer) -> None:
    """Let all commands and groups of an application show their help in this way."""
    app.info.cls = _over(TyperGroup)
    for command in app.registered_commands:
        command.cls = _over(command.cls or TyperCommand)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        group.cls = _over(TyperGroup)
        make_readable(group.typer_instance)


def _over(parser: type[Any]) -> type[Any]:
    return type(parser.__name__, (_Readable, parser), {})


def _shown(command: Any, ctx: Any) -> Any:
    """Return a copy of a command for its help; the command itself goes on parsing."""
    shown = copy.copy(command)
    params = [_param(param, ctx) for param in command.get_params(ctx)]
    shown.get_params = lambda _: params
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    shown.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return shown


def _param(param: Any, ctx: Any) -> Any:
    if not str(param.opts[0]).startswith("-"):
        return param
    shown = copy.copy(param)
    if shown.is_flag:
        shown.metavar = ""  # nothing follows a switch
    elif shown.metavar is None and hasattr(shown, "display_type_rich"):  # of newer Typer
        kind = str(shown.display_type_rich(ctx)).replace(" range>", ">")
        if max(map(len, kind.split("|"))) > _WIDE and "|" in kind:
            said = kind.strip("<>").removeprefix("list[").rstrip("]").replace("|", ", ")
            shown.metavar, shown.help = "<name>", f"{shown.help or ''} One of: {said}."
        else:
            shown.metavar = kind.replace("|", "|\n") if len(kind) > _WIDE else kind
        if (getattr(shown, "max", None) or 0) >= _FAR:
            shown.max = None
    if shown.secondary_opts:  # the names of both would take the place of the text
        off = " ".join(shown.secondary_opts)
        said = off if len(off) <= _LONG else "--no- before the same name."
        shown.help = f"{shown.help or ''} Off: {said}"
        shown.secondary_opts = []
    return shown
