"""Writes LLaVA JSON: one list with ``image`` as text and turns of ``human`` and ``gpt``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imaxray.export.chat_format import IMAGE, ChatFormat, RowStyle, string_messages, write_json_list
from imaxray.export.conversation import Conversation


def row(conversation: Conversation, style: RowStyle) -> dict[str, Any]:
    """Return one row with ``id``, ``image``, ``conversations`` and ``meta``."""
    return {
        "id": conversation.id,
        "image": conversation.image,
        "conversations": string_messages(
            conversation.texts(style.convention),
            role="from",
            content="value",
            roles=("human", "gpt"),
            image=f"{IMAGE}\n",
        ),
        "meta": conversation.meta,
    }


def _write(conversations: Iterable[Conversation], path: Path, style: RowStyle) -> None:
    write_json_list((row(c, style) for c in conversations), path, b"[", b"]\n")


FORMAT = ChatFormat(
    name="llava",
    tool="LLaVA and its forks",
    suffix=".json",
    reserved=("<image>", "<video>", "<audio>"),
    write=_write,
    pads=True,
)
