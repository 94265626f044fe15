"""Defines a chat format, and writes the JSON files that several formats share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from imaxray.boxes import BoxConvention
from imaxray.export.conversation import Conversation, Per
from imaxray.export.images import How
from imaxray.export.tools.settings import Settings

IMAGE = "<image>"
"""Placeholder of the next image in the text of a row."""


@dataclass(frozen=True)
class RowStyle:
    """Describes how rows are written.

    Attributes:
        convention: Convention of boxes in text, or None if the format has its own form of boxes.
        per: Whether a row is an entry or an image.
        images: How rows name images.
    """

    convention: BoxConvention | None
    per: Per
    images: How


@dataclass(frozen=True)
class ChatFormat:
    """Describes a format with one row per conversation.

    Attributes:
        name: Name of the format on the command line.
        tool: Tool that reads the format.
        suffix: Suffix of the file of a split.
        reserved: Words that mark images and boxes for readers of the format; no text may contain
            them.
        write: Function that writes the conversations of one split into a file.
        own_boxes: Whether the format has its own form of boxes, so that no convention is needed.
        links: Whether rows may name images relative to the export.
        pads: Whether the tool pads images to a square before the model sees them.
        scales: Whether the tool scales images to an area before the model's processor does.
        finish: Function that is called with the folder and the names of the splits after all files
            are written.
        settings: Function that returns the lines of comment and the values of ``settings.yaml``, by
            the tool's names; None if there is no such file.
    """

    name: str
    tool: str
    suffix: str
    reserved: tuple[str, ...]
    write: Callable[[Iterable[Conversation], Path, RowStyle], None]
    own_boxes: bool = False
    links: bool = True
    pads: bool = False
    scales: bool = False
    finish: Callable[[Path, Sequence[str]], None] | None = None
    settings: Callable[[Settings], tuple[list[str], dict[str, Any]]] | None = None


def string_messages(
    texts: Iterable[tuple[str, str]], *, role: str, content: str, roles: tuple[str, str], image: str
) -> list[dict[str, str]]:
    """Return turns as messages of plain text; the first message begins with ``image``."""
    messages: list[dict[str, str]] = []
    for question, answer in texts:
        messages.append({role: roles[0], content: question if messages else image + question})
        messages.append({role: roles[1], content: answer})
    return messages


def write_json_lines(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write one JSON object per line."""
    with path.open("wb") as stream:
        for row in rows:
            stream.write(orjson.dumps(row) + b"\n")


def write_json_list(rows: Iterable[dict[str, Any]], path: Path, head: bytes, tail: bytes) -> None:
    """Write JSON objects as a list, one per line, between ``head`` and ``tail``."""
    with path.open("wb") as stream:
        stream.write(head)
        for number, row in enumerate(rows):
            stream.write((b",\n" if number else b"\n") + orjson.dumps(row))
        stream.write(b"\n" + tail)
