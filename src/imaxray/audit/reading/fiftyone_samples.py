"""Reads a sample of a FiftyOne dataset in its plain form (``samples.json``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from imaxray.audit.reading.chat_record import BadRecordError, Exchange, ImageName
from imaxray.schema import CHEXPERT

_STATES: Final = {"findings": 1.0, "negatives": 0.0, "uncertain": -1.0}
"""Field of an exported sample → value of its labels."""


@dataclass(frozen=True)
class Sample:
    """An image with its labels, boxes and entries.

    Attributes:
        image: Name of the image.
        tags: Tags in lower case, among which may be a split.
        labels: Names and values of labels.
        boxes: x1, y1, x2, y2 in the unit square; a coordinate that is no number is ``None``.
        entries: Task, and question and answer.
    """

    image: ImageName
    tags: tuple[str, ...]
    labels: tuple[tuple[str, float], ...]
    boxes: tuple[list[float | None], ...]
    entries: tuple[tuple[Any, Exchange], ...]


def is_sample(record: dict[str, Any]) -> bool:
    """Return whether a record is a sample of FiftyOne."""
    return "filepath" in record and "messages" not in record


def read_sample(record: dict[str, Any]) -> Sample:
    """Return a sample.

    Raises:
        BadRecordError: The path is not a text, or an entry has no texts.
    """
    path, tags = record["filepath"], record.get("tags") or []
    if not isinstance(path, str) or not path:
        raise BadRecordError("the path of an image is not a text")
    return Sample(
        ImageName(path),
        tuple(str(tag).lower() for tag in (tags if isinstance(tags, list) else [tags])),
        tuple(_labels(record)),
        tuple(_boxes(record)),
        tuple(_entries(record)),
    )


def _labels(record: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in _STATES.items():
        for label in _listed(record.get(name), "classifications"):
            if label.get("label") in CHEXPERT:
                yield label["label"], value


def _boxes(record: dict[str, Any]) -> Iterator[list[float | None]]:
    """Yield the boxes of detections in any field; FiftyOne has x, y, width, height."""
    for content in record.values():
        for detection in _listed(content, "detections"):
            box = detection.get("bounding_box")
            if not isinstance(box, list) or len(box) != 4:
                yield []
            elif not all(isinstance(number, (int, float)) for number in box):
                yield [None] * 4
            else:
                x, y, width, height = map(float, box)
                yield [x, y, x + width, y + height]


def _entries(record: dict[str, Any]) -> Iterator[tuple[Any, Exchange]]:
    entries = record.get("entries") or []
    for entry in entries if isinstance(entries, list) else [entries]:
        texts = (entry.get("prompt"), entry.get("target")) if isinstance(entry, dict) else (None,)
        if not all(isinstance(text, str) for text in texts):
            raise BadRecordError("an entry has no prompt and target")
        yield entry.get("task"), Exchange(*texts)


def _listed(content: Any, name: str) -> list[dict[str, Any]]:
    listed = content.get(name) if isinstance(content, dict) else None
    return [item for item in listed or [] if isinstance(item, dict)]
