"""Writes LLaVA JSON: one list with ``image`` as text and turns of ``human`` and ``gpt``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imaxray.export.conversation import Conversation
from imaxray.export.tools.chat_format import (
    IMAGE,
    ChatFormat,
    RowStyle,
    string_messages,
    write_json_list,
)
from imaxray.export.tools.settings import MODEL, OUTPUT, Settings
from imaxray.geometry import Letterbox, Whole


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


def _settings(given: Settings) -> tuple[list[str], dict[str, Any]]:
    padded = isinstance(given.geometry, Letterbox) and not given.written
    notes = given.notes(
        "the training script of LLaVA or a fork, with each line as a flag (--name value)",
        "model_max_length",
    )
    if isinstance(given.geometry, Whole):
        notes.append(
            "Boxes refer to the whole image, so the model's processor must not crop it; CLIP's, of "
            "LLaVA 1.5, does: for that model, export with --boxes llava."
        )
    if given.areas is not None:
        least, cap = given.areas
        notes.append(f"The processor must have min_pixels {least} and max_pixels {cap}.")
    values: dict[str, Any] = {
        "model_name_or_path": MODEL,
        "data_path": "train.json",
        "image_folder": ".",
        "image_aspect_ratio": "pad" if padded else "square",
        "lazy_preprocess": True,
        "model_max_length": given.cutoff,
        "output_dir": OUTPUT,
    }
    return notes, values


FORMAT = ChatFormat(
    name="llava",
    tool="LLaVA and its forks",
    suffix=".json",
    reserved=("<image>", "<video>", "<audio>"),
    write=_write,
    pads=True,
    settings=_settings,
)
