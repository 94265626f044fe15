"""Reads the turns, images and boxes of one record of a chat file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from imaxray._common.strict_json import parse_item

_USER: Final = ("user", "human")
_MODEL: Final = ("assistant", "gpt", "model")
_MEDIA: Final = ("<image>", "<|image|>")
_INLINE: Final = re.compile(r"(?:Picture \d+:\s*)?<img>\s*([^<>]+?)\s*</img>")
_IMAGES: Final = ("images", "image", "image_path", "image_name", "img_name")
"""Fields that name the images of a record; the first one that a record has is read."""

_BOX: Final = "<bbox>"

_Box = list[float | None]


class BadRecordError(Exception):
    """A record cannot be read; the message says why and quotes nothing from the record."""


@dataclass(frozen=True)
class Exchange:
    """One answer and all text that the user and the system wrote directly before it."""

    prompt: str
    target: str


@dataclass(frozen=True)
class ImageName:
    """Names an image of a record.

    Attributes:
        path: Path of the file, as the record has it.
        place: Place in the record's own file, if that holds the image.
        digest: SHA-256 of the bytes of such an image.
    """

    path: str
    place: int | None = None
    digest: str | None = None


def field(record: dict[str, Any], name: str) -> Any:
    """Return a field of the record or of its ``meta``, which is an object or its JSON text."""
    if record.get(name) is not None:
        return record[name]
    meta = record.get("meta")
    if isinstance(meta, str):
        meta = parse_item(meta)
    return meta.get(name) if isinstance(meta, dict) else None


def messages_of(record: dict[str, Any]) -> Any:
    """Return the messages of a record, whichever way its tool writes them.

    These are ``messages`` or ``conversations``; ``prompt`` and ``completion`` (TRL), as lists or as
    texts; ``instruction``, ``input`` and ``output`` (Alpaca); ``query``, ``response`` and
    ``history`` (ms-swift); ``question`` and ``answer`` (VQA-RAD, SLAKE and others); and ``report``
    (R2Gen), whose prompt is not stated.
    """
    for name in ("messages", "conversations"):
        if record.get(name) is not None:
            return record[name]
    prompt, completion = record.get("prompt"), record.get("completion")
    if completion is not None:
        if isinstance(prompt, list) and isinstance(completion, list):
            return [*prompt, *completion]
        return _pair(prompt, completion)
    if "output" in record and "instruction" in record:
        asked = [record.get("instruction"), record.get("input")]
        return _pair("\n".join(str(part) for part in asked if part), record["output"])
    if "response" in record and "query" in record:
        past = record.get("history") or []
        turns = [message for one in past if isinstance(one, list) and len(one) == 2
                 for message in _pair(*one)]  # fmt: skip
        return [*turns, *_pair(record["query"], record["response"])]
    if "question" in record and "answer" in record:
        answer = record["answer"]
        number = isinstance(answer, (int, float)) and not isinstance(answer, bool)
        return _pair(record["question"], str(answer) if number else answer)
    if "report" in record:
        return _pair("", record["report"])
    return None


def _pair(question: Any, answer: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def turns_of(record: dict[str, Any]) -> list[Exchange]:
    """Return the exchanges of a record (:func:`messages_of`), without image placeholders.

    Raises:
        BadRecordError: The record has no messages, an unknown role or no answer.
    """
    messages = messages_of(record)
    if not isinstance(messages, list) or not messages:
        raise BadRecordError("no list of messages or conversations")
    turns: list[Exchange] = []
    before: list[str] = []
    for message in messages:
        if not isinstance(message, dict):
            raise BadRecordError("a message is not an object")
        role = message.get("role", message.get("from"))
        text = _text(message.get("content", message.get("value")))
        if role in _MODEL:
            turns.append(Exchange("\n".join(before), text))
            before = []
        elif role in _USER or role == "system":
            before.append(text)
        else:
            raise BadRecordError("a message has an unknown role")
    if not turns:
        raise BadRecordError("no message of the assistant")
    return turns


def images_of(record: dict[str, Any]) -> list[ImageName]:
    """Return the images in the record's list or, without a list, in its messages.

    Raises:
        BadRecordError: The path of an image is not a text.
    """
    given = next((record[name] for name in _IMAGES if record.get(name) is not None), None)
    listed = [] if given is None else given if isinstance(given, list) else [given]
    if not listed:
        messages = messages_of(record)
        listed = [path for message in messages or [] for path in _block_images(message)]
        if not listed:  # <img>path</img> in the text, as Qwen-VL has it
            listed = [path for message in messages or [] for path in _INLINE.findall(_raw(message))]
    return [_image(item) for item in listed]


def _image(item: Any) -> ImageName:
    if isinstance(item, dict) and item.get("place") is not None:
        return ImageName(str(item.get("path") or "image"), item["place"], item["sha256"])
    path = item.get("path") if isinstance(item, dict) else item
    if not isinstance(path, str) or not path:
        raise BadRecordError("the path of an image is not a text")
    return ImageName(path)


def boxes_of(record: dict[str, Any], images: int) -> list[tuple[list[_Box], bool, int]]:
    """Return the boxes in the field ``objects`` of ms-swift.

    Points (two numbers) are left out. Boxes in the text of a prompt or an answer are not read,
    because their convention is not known.

    Args:
        record: Record of a chat file.
        images: Number of images of the record.

    Returns:
        A list with the box, whether its coordinates are in the unit square, and the 0-based number
        of its image.

    Raises:
        BadRecordError: The field ``objects`` has a different form.
    """
    objects = record.get("objects")
    if objects is None:
        return []
    if not isinstance(objects, dict) or not isinstance(objects.get("bbox") or [], list):
        raise BadRecordError("objects are not in the form of ms-swift")
    boxes = objects.get("bbox") or []
    places = objects.get("image_id") or [0] * len(boxes)
    if not isinstance(places, list) or len(places) != len(boxes):
        raise BadRecordError("objects have different numbers of image_id and bbox")
    found = []
    for box, image in zip(boxes, places, strict=True):
        if not isinstance(box, list) or not isinstance(image, int) or not 0 <= image < images:
            raise BadRecordError("a box is not a list, or belongs to no image of the record")
        if len(box) != 2:
            numbers = [float(v) if isinstance(v, (int, float)) else None for v in box]
            found.append(([numbers], objects.get("bbox_type") == "norm1", image))
    return found


def _text(content: Any) -> str:
    if isinstance(content, list):
        blocks = [block for block in content if isinstance(block, dict)]
        content = "\n".join(
            str(block.get("text", block.get("value", "")))
            for block in blocks
            if block.get("type") == "text"
        )
    if not isinstance(content, str):
        raise BadRecordError("a message has no text")
    text: str = content
    for placeholder in _MEDIA:
        text = text.replace(placeholder, " ")
    return _INLINE.sub(" ", text).strip()


def _raw(message: Any) -> str:
    content = message.get("content", message.get("value")) if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def marks_problem(record: dict[str, Any], images: int) -> str | None:
    """Return how the marks of images and boxes in the texts disagree with the record, or None.

    Blocks have no marks. A record whose texts have no mark at all is only wrong if it has images
    and its tool needs one, which is so for lists of ``messages`` and ``conversations`` of texts.

    Args:
        record: Record of a chat file.
        images: Number of images of the record.
    """
    messages = messages_of(record) or []
    texts = [_raw(message) for message in messages]
    if any(not isinstance(_content(message), str) for message in messages):
        return None
    marks = sum(text.count(mark) for text in texts for mark in _MEDIA)
    inline = sum(len(_INLINE.findall(text)) for text in texts)
    needs = any(record.get(name) is not None for name in ("messages", "conversations"))
    if marks + inline != images and (marks or (needs and not inline)):
        return f"its texts mark {marks + inline} images, but it has {images}"
    objects = record.get("objects")
    listed = objects.get("bbox") or [] if isinstance(objects, dict) else []
    boxes = sum(text.count(_BOX) for text in texts)
    if boxes != len(listed) and (boxes or "objects" in record):
        return f"its texts mark {boxes} boxes, but it has {len(listed)}"
    return None


def _content(message: Any) -> Any:
    return message.get("content", message.get("value")) if isinstance(message, dict) else None


def _block_images(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    found = []
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") in ("image", "image_url"):
            keys = ("image", "path", "value", "image_url", "url")
            path = next((block[key] for key in keys if block.get(key) is not None), None)
            found.append(path.get("url") if isinstance(path, dict) else path)
    return found
