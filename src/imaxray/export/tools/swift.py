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
from imaxray.export.conversation import Conversation
from imaxray.export.tools.chat_format import (
    IMAGE,
    ChatFormat,
    RowStyle,
    string_messages,
    write_json_lines,
)
from imaxray.export.tools.settings import MODEL, OUTPUT, SETTINGS, Settings

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


def _settings(given: Settings) -> tuple[list[str], dict[str, Any]]:
    environment: dict[str, Any] = {}
    if given.areas is not None:
        environment = dict(zip(("MIN_PIXELS", "MAX_PIXELS"), given.areas, strict=True))
    if given.relative:
        environment["ROOT_IMAGE_DIR"] = "."
    notes = given.notes(
        f"swift sft {SETTINGS} --model …", "max_length" if given.knows_image else None
    )
    if not given.knows_image:
        notes.append("max_length is left out, so that the tool takes the maximum of the model.")
    if environment:
        notes.append("The tool puts ENV into its environment, unless a name is set there already.")
    values: dict[str, Any] = {
        **({"ENV": environment} if environment else {}),
        "model": MODEL,
        "dataset": ["train.jsonl"],
        **({"val_dataset": ["val.jsonl"]} if "val" in given.splits else {}),
        **({"max_length": given.cutoff} if given.knows_image else {}),
        "output_dir": OUTPUT,
    }
    return notes, values


FORMAT = ChatFormat(
    name="swift",
    tool="ms-swift",
    suffix=".jsonl",
    reserved=(
        "<image>", "<video>", "<audio>", "<bbox>", "<ref-object>", "<cot-process>", "<start-image>",
    ),
    write=_write,
    own_boxes=True,
    settings=_settings,
)  # fmt: skip
