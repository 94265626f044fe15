"""Writes ms-swift JSON lines: messages, with boxes as numbers in ``objects``.

``<bbox>`` in a text stands for the next box of ``objects``, in pixels of the original image; swift
writes the box in the convention of the trained model. Every row has ``objects``, which is empty if
there is no box, because readers infer one type for the column.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from imaxray.boxes import PLACEHOLDER
from imaxray.export.chat_format import (
    IMAGE,
    ChatFormat,
    RowStyle,
    string_messages,
    write_json_lines,
)
from imaxray.export.conversation import Conversation

_BOX: Final = "<bbox>"


def row(conversation: Conversation, style: RowStyle) -> dict[str, Any]:
    """Return one row with ``id``, ``messages``, ``images``, ``objects`` and ``meta``."""
    texts = conversation.texts(style.convention)
    boxes: list[list[float]] = []
    if style.convention is None:
        texts = ((q.replace(PLACEHOLDER, _BOX), a.replace(PLACEHOLDER, _BOX)) for q, a in texts)
        boxes = conversation.boxes
    return {
        "id": conversation.id,
        "messages": string_messages(
            texts, role="role", content="content", roles=("user", "assistant"), image=IMAGE
        ),
        "images": [conversation.image],
        "objects": {"ref": [], "bbox": boxes, "bbox_type": "real", "image_id": [0] * len(boxes)},
        "meta": conversation.meta,
    }


def _write(conversations: Iterable[Conversation], path: Path, style: RowStyle) -> None:
    write_json_lines((row(c, style) for c in conversations), path)


FORMAT = ChatFormat(
    name="swift",
    tool="ms-swift",
    suffix=".jsonl",
    reserved=(
        "<image>", "<video>", "<audio>", "<bbox>", "<ref-object>", "<cot-process>", "<start-image>",
    ),
    write=_write,
    own_boxes=True,
)  # fmt: skip
