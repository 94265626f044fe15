"""Finds an export format by its name, among ours and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from imaxray._common.plugins import FORMATS, Plugin, plugins_besides
from imaxray.errors import ImaxrayError
from imaxray.export.tools import llamafactory, llava, swift, trl
from imaxray.export.tools.chat_format import ChatFormat

_BUILT_IN: Final = {
    f.name: f for f in (llamafactory.FORMAT, swift.FORMAT, trl.FORMAT, llava.FORMAT)
}
OWN_BOXES: Final = {"fiftyone": "FiftyOne", "croissant": "Croissant (mlcroissant)"}
"""Formats that are no conversations and hold boxes as numbers, with the tool that reads each."""


def list_formats() -> dict[str, str]:
    """Return the names of the formats with the tool that reads each; plug-in formats come last.

    Raises:
        ImaxrayError: If the format of a package cannot be loaded or is not a chat format.

    Example:
        >>> sorted(list_formats())
        ['croissant', 'fiftyone', 'llamafactory', 'llava', 'swift', 'trl']
    """
    ours = {name: form.tool for name, form in _BUILT_IN.items()}
    outside = {name: _checked(plugin).tool for name, plugin in _outside().items()}
    return {**ours, **OWN_BOXES, **outside}


def names() -> tuple[str, ...]:
    """Return the names of the formats; those of other packages come last and are not loaded."""
    return (*_BUILT_IN, *OWN_BOXES, *_outside())


def chat_format(name: str) -> tuple[Plugin | None, ChatFormat]:
    """Return the chat format with this name, and the plug-in it is of, if it is not ours.

    Args:
        name: One of :func:`names`, but none of :data:`OWN_BOXES`.

    Raises:
        ImaxrayError: If the format of a package cannot be loaded or is not a chat format.
    """
    if name in _BUILT_IN:
        return None, _BUILT_IN[name]
    plugin = _outside()[name]
    return plugin, _checked(plugin)


def refuse_options(name: str, given: Sequence[str]) -> None:
    """Refuse options that a format does not have.

    Raises:
        ImaxrayError: If any is given.
    """
    if given:
        raise ImaxrayError(
            f"Expected {name} without {', '.join(given)}, because this format has no such option, "
            f"but got {'them' if len(given) > 1 else 'it'}; leave out what does not apply."
        )


def _outside() -> Mapping[str, Plugin]:
    """Return the formats of other packages, which are not loaded; built-in names have priority.

    docs/adding-an-export-format.md explains how a package registers a format.
    """
    return plugins_besides(FORMATS, (*_BUILT_IN, *OWN_BOXES))


def _checked(plugin: Plugin) -> ChatFormat:
    form = plugin.load()
    if not isinstance(form, ChatFormat):
        raise plugin.unfit("it is no imaxray.export.ChatFormat")
    if form.name != plugin.point.name:
        raise plugin.unfit(f"its name is {form.name}")
    return form
