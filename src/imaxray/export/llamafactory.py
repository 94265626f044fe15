"""Writes LLaMA-Factory JSON lines of messages, and ``dataset_info.json`` that describes them.

The formatting is ``sharegpt`` with tags, because ``openai`` would put its own system prompt before
every conversation. The format has no field for boxes, so boxes are text in the convention of a
named model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from imaxray.export.chat_format import (
    IMAGE,
    ChatFormat,
    RowStyle,
    string_messages,
    write_json_lines,
)
from imaxray.export.conversation import Conversation


def row(conversation: Conversation, style: RowStyle) -> dict[str, Any]:
    """Return one row with ``id``, ``messages``, ``images`` and ``meta``."""
    return {
        "id": conversation.id,
        "messages": string_messages(
            conversation.texts(style.convention),
            role="role",
            content="content",
            roles=("user", "assistant"),
            image=f"{IMAGE}\n",
        ),
        "images": [conversation.image],
        "meta": conversation.meta,
    }


def _write(conversations: Iterable[Conversation], path: Path, style: RowStyle) -> None:
    write_json_lines((row(c, style) for c in conversations), path)


def _finish(folder: Path, splits: Sequence[str]) -> None:
    info = {
        f"imaxray_{split}": {
            "file_name": f"{split}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
        for split in splits
    }
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n")


FORMAT = ChatFormat(
    name="llamafactory",
    tool="LLaMA-Factory",
    suffix=".jsonl",
    reserved=("<image>", "<video>", "<audio>"),
    write=_write,
    finish=_finish,
    scales=True,
)
