"""Writes LLaMA-Factory JSON lines of messages, and ``dataset_info.json`` that describes them.

The formatting is ``sharegpt`` with tags, because ``openai`` would put its own system prompt before
every conversation. The format has no field for boxes, so boxes are text in the convention of a
named model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from imaxray.export.conversation import Conversation
from imaxray.export.tools.chat_format import (
    IMAGE,
    ChatFormat,
    RowStyle,
    string_messages,
    write_json_lines,
)
from imaxray.export.tools.settings import MODEL, OUTPUT, SETTINGS, Settings
from imaxray.geometry import ScaledThenResized


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


_TEMPLATES: Final = {
    "huatuogpt-vision-7b": "qwen2_vl", "internvl": "intern_vl", "internvl3-8b": "intern_vl",
    "lingshu-7b": "qwen2_vl", "lingshu-i-8b": "intern_vl", "llava": "llava", "medgemma": "gemma3",
    "medgemma-1.5-4b": "gemma3", "medmo": "qwen3_vl_nothink", "medmo-4b": "qwen3_vl_nothink",
    "medmo-8b": "qwen3_vl_nothink", "paligemma": "paligemma", "qwen2-vl": "qwen2_vl",
    "qwen2.5-vl": "qwen2_vl", "qwen3-vl": "qwen3_vl_nothink",
}  # fmt: skip
"""The tool's template for the models that ``--boxes`` knows by name."""


def _settings(given: Settings) -> tuple[list[str], dict[str, Any]]:
    template = _TEMPLATES.get((given.model or "").lower())
    usual = ScaledThenResized()
    least, cap = given.areas or (usual.least, usual.cap)
    notes = given.notes(
        f"llamafactory-cli train {SETTINGS} model_name_or_path=…"
        + ("" if template else " template=…"),
        "cutoff_len",
    )
    values: dict[str, Any] = {
        "model_name_or_path": MODEL,
        **({"template": template} if template else {}),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "dataset_dir": ".",
        "dataset": "imaxray_train",
        **({"eval_dataset": "imaxray_val"} if "val" in given.splits else {}),
        "cutoff_len": given.cutoff,
        "image_max_pixels": cap,
        "image_min_pixels": least,
        **({"crop_to_patches": True} if template == "intern_vl" else {}),  # tiles, as counted
        "output_dir": OUTPUT,
    }
    return notes, values


FORMAT = ChatFormat(
    name="llamafactory",
    tool="LLaMA-Factory",
    suffix=".jsonl",
    reserved=("<image>", "<video>", "<audio>"),
    write=_write,
    finish=_finish,
    scales=True,
    settings=_settings,
)
