"""Writes TRL Parquet files: messages of blocks, and a column of images.

With one entry per row, a row has ``prompt`` and ``completion`` (the loss is on the answer alone).
With one image per row, a row has ``messages``. Texts are blocks without ``<image>``, because TRL
would put its own image before plain text and keep the word. Images are named by their path, or are
stored in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from imaxray._common.files import utf8_path
from imaxray.export.conversation import Conversation
from imaxray.export.tools.chat_format import ChatFormat, RowStyle
from imaxray.export.tools.settings import MODEL, OUTPUT, SETTINGS, Settings

_ROWS: Final = {"path": 10_000, "copy": 200}  # rows per group; copied images need memory

_TEXT: Final = {"dtype": "string", "_type": "Value"}
_MESSAGES: Final = [{"role": _TEXT, "content": [{"type": _TEXT, "text": _TEXT}]}]
_BLOCK: Final = pa.struct([("type", pa.string()), ("text", pa.string())])
_MESSAGE: Final = pa.struct([("role", pa.string()), ("content", pa.list_(_BLOCK))])
_IMAGE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def row(conversation: Conversation, style: RowStyle) -> dict[str, Any]:
    """Return a row with ``id``, ``images``, ``meta``, ``prompt`` and so on; see the module."""
    messages: list[dict[str, Any]] = []
    for question, answer in conversation.texts(style.convention):
        block = [] if messages else [{"type": "image", "text": None}]
        messages += [
            {"role": "user", "content": [*block, {"type": "text", "text": question}]},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ]
    turns: dict[str, Any] = (
        {"prompt": messages[:1], "completion": messages[1:]}
        if style.per == "entry"
        else {"messages": messages}
    )
    path = Path(conversation.image)
    image = (
        {"bytes": path.read_bytes(), "path": path.name}
        if style.images == "copy"
        else {"bytes": None, "path": conversation.image}
    )
    return {"id": conversation.id, "images": [image], **turns, "meta": conversation.meta}


def _write(conversations: Iterable[Conversation], path: Path, style: RowStyle) -> None:
    turns = ("prompt", "completion") if style.per == "entry" else ("messages",)
    features: dict[str, Any] = {
        "id": _TEXT,
        "images": [{"_type": "Image"}],  # every version of `datasets` can read this list form
        **dict.fromkeys(turns, _MESSAGES),
        "meta": _TEXT,
    }
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("images", pa.list_(_IMAGE)),
            *((name, pa.list_(_MESSAGE)) for name in turns),
            ("meta", pa.string()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    rest = iter(conversations)
    with pq.ParquetWriter(utf8_path(path), schema, compression="zstd") as writer:
        while rows := [row(c, style) for c in islice(rest, _ROWS[style.images])]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _settings(given: Settings) -> tuple[list[str], dict[str, Any]]:
    notes = given.notes(f"trl sft --config {SETTINGS} --model_name_or_path …", None)
    notes.append("max_length is null, since TRL would cut the tokens of an image too.")
    if given.areas is not None:
        least, cap = given.areas
        notes.append(
            f"The processor of the model must have min_pixels {least} and max_pixels {cap} "
            "(preprocessor_config.json), since boxes depend on them and TRL has no such option."
        )
    values: dict[str, Any] = {
        "model_name_or_path": MODEL,
        "datasets": [{"path": "parquet", "data_files": "train.parquet", "split": "train"}],
        "max_length": None,
        "output_dir": OUTPUT,
    }
    return notes, values


FORMAT = ChatFormat(
    name="trl",
    tool="TRL's SFTTrainer",
    suffix=".parquet",
    reserved=("<image>",),
    write=_write,
    links=False,
    settings=_settings,
)
