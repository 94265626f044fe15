"""What a chat format is, and the files of rows that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from imaxray.boxes import BoxConvention
from imaxray.export.conversation import Conversation, Per
from imaxray.export.images import How

IMAGE = "<image>"
"""Stands for the next image in the text of a row."""


@dataclass(frozen=True)
class RowStyle:
    """How rows are to be written.

    Attributes:
        convention: how boxes are written in text; ``None``: as the format has them itself.
        per: what a row is.
        images: how rows name images.
    """

    convention: BoxConvention | None
    per: Per
    images: How


@dataclass(frozen=True)
class ChatFormat:
    """A format with a row a conversation.

    Attributes:
        name: as the command line takes it.
        tool: what reads it.
        suffix: of the file of a split.
        reserved: words by which its readers find images and boxes; no text may hold them.
        write: writes conversations of one split into a file; returns nothing.
        own_boxes: whether it has boxes of its own, so that no convention is needed.
        links: whether rows may name images relative to the export.
        finish: what is written after the files of all splits (folder, names of splits).
    """

    name: str
    tool: str
    suffix: str
    reserved: tuple[str, ...]
    write: Callable[[Iterable[Conversation], Path, RowStyle], None]
    own_boxes: bool = False
    links: bool = True
    finish: Callable[[Path, Sequence[str]], None] | None = None


def string_messages(
    texts: Iterable[tuple[str, str]], *, role: str, content: str, roles: tuple[str, str], image: str
) -> list[dict[str, str]]:
    """Turns as messages of plain text, the first of which begins with ``image``."""
    messages: list[dict[str, str]] = []
    for question, answer in texts:
        messages.append({role: roles[0], content: question if messages else image + question})
        messages.append({role: roles[1], content: answer})
    return messages


def write_json_lines(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """One JSON object a line."""
    with path.open("wb") as stream:
        for row in rows:
            stream.write(orjson.dumps(row) + b"\n")


def write_json_list(rows: Iterable[dict[str, Any]], path: Path, head: bytes, tail: bytes) -> None:
    """JSON objects as a list, one a line, between ``head`` and ``tail``."""
    with path.open("wb") as stream:
        stream.write(head)
        for number, row in enumerate(rows):
            stream.write((b",\n" if number else b"\n") + orjson.dumps(row))
        stream.write(b"\n" + tail)
