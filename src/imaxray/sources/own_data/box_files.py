"""Reads boxes from files of COCO, Pascal VOC and YOLO as rows, one per box.

An image without boxes is a row too, because it belongs to the release.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from imaxray._common.files import require_file
from imaxray._common.strict_json import BadItem, parse_item
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import Fault

Rows = tuple[list[dict[str, Any]], int, list[Fault]]
"""Rows with their number `row` and text columns; the number of all rows; those left out."""

NOT_LABELS: Final = ("classes.txt", "obj.names", "labels.txt", "train.txt", "val.txt", "test.txt")
"""Files beside YOLO's labels that hold no boxes."""

_DIGITS: Final = 10  # of a width or height, at most one less
_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")


def read_coco(path: Path, _classes: tuple[str, ...]) -> Rows:
    """Read a COCO file: its images are the first rows, its annotations the rows after them.

    Raises:
        ImaxrayError: If the file is no JSON, or lacks images or annotations.
    """
    require_file(path)
    try:
        content = parse_item(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise ImaxrayError(
            f"Expected JSON of COCO at {path}, but it cannot be read; write it again."
        ) from error
    if isinstance(content, BadItem):
        raise ImaxrayError(
            f"Expected JSON of COCO at {path}, but it cannot be read, because {content.message}; "
            "correct it, or write it again."
        )
    content = content if isinstance(content, dict) else {}
    images, boxes = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(boxes, list):
        raise ImaxrayError(
            f"Expected the lists images and annotations in {path}, as COCO has them, but they are "
            "missing; name another file, or write JSON lines."
        )
    categories = content.get("categories")
    names = _by_id(categories if isinstance(categories, list) else [], "name")
    files = _by_id(images, "file_name")
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    described: dict[str, dict[str, Any]] = {}
    for row, item in enumerate(images, start=1):
        if not isinstance(item, dict) or not isinstance(item.get("file_name"), str):
            faults.append((row, "bad-json", "the image has no file_name"))
            continue
        size = {f"image_{k}": _side(item[k]) for k in ("width", "height") if item.get(k)}
        if None in size.values():
            faults.append((row, "bad-value", "the size of the image is no positive whole number"))
            continue
        described[item["file_name"]] = {"image": item["file_name"], **size}
        rows.append({"row": row, **described[item["file_name"]]})
    for row, item in enumerate(boxes, start=len(images) + 1):
        item = item if isinstance(item, dict) else {}
        about_image = described.get(files.get(_key(item.get("image_id"))) or "")
        if about_image is None:
            faults.append((row, "unknown-image", "the annotation names none of the images, or two"))
            continue
        phrase = names.get(_key(item.get("category_id")))
        if phrase is None:
            faults.append(
                (row, "unknown-class", "the annotation names none of the categories, or two")
            )
            continue
        rows.append({"row": row, **about_image, "phrase": phrase,
                     "box": json.dumps(item.get("bbox"))})  # fmt: skip
    return rows, len(images) + len(boxes), faults


def _by_id(items: list[Any], field: str) -> dict[Any, str | None]:
    """Return the text in a field of items by their id; None for an id that several texts have."""
    found: dict[Any, str | None] = {None: None}
    for item in items:
        text = item.get(field) if isinstance(item, dict) else None
        if isinstance(text, str):
            key = _key(item.get("id"))
            found[key] = text if found.get(key, text) == text else None
    return found


def _key(value: Any) -> int | str | None:
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _side(value: Any) -> str | None:
    """Return a width or height that COCO states as text; None if it is no positive whole number."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return text if text.isdecimal() and text.isascii() and len(text) < _DIGITS else None


def read_voc(folder: Path, _classes: tuple[str, ...]) -> Rows:
    """Read a folder of Pascal VOC files; the rows are the objects, in the order of the files.

    The published coordinates count pixels from 1, and name the last pixel that belongs to the box.
    """
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    row = 0
    for path in sorted(folder.rglob("*.xml")):
        require_file(path)
        try:
            tree = fromstring(path.read_bytes())
        except (OSError, ParseError, ValueError, DefusedXmlException):
            row += 1
            faults.append((row, "bad-xml", "the file is no readable XML"))
            continue
        about = {"image": tree.findtext("filename") or path.stem}
        for side in ("width", "height"):
            stated = _number(tree.findtext(f"size/{side}"))
            if stated:
                about[f"image_{side}"] = f"{stated:g}"
        for found in tree.findall("object") or [None]:
            row += 1
            if found is None:
                rows.append({"row": row, **about})
                continue
            box = _corners(found)
            if box is None:
                faults.append((row, "bad-value", "the object has no four corners"))
                continue
            rows.append({"row": row, **about, "phrase": (found.findtext("name") or "").strip(),
                         "box": json.dumps(box)})  # fmt: skip
    return rows, row, faults


def _corners(found: Element) -> list[float] | None:
    numbers = [_number(found.findtext(f"bndbox/{name}")) for name in _CORNERS]
    known = [number for number in numbers if number is not None]
    if len(known) < len(_CORNERS):
        return None
    return [known[0] - 1, known[1] - 1, known[2], known[3]]


def read_yolo(folder: Path, classes: tuple[str, ...]) -> Rows:
    """Read a folder of YOLO label files; the rows are their lines, in the order of the files.

    A line is the number of a class, then centre, width and height as fractions of the image.
    """
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    row = 0
    for path in label_files(folder):
        image = path.relative_to(folder).with_suffix("").as_posix()
        require_file(path)
        # a byte that is no text makes its own line no box, which is a reject
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
        boxes = [line.split() for line in lines if line.strip()]
        for box in boxes or [[]]:
            row += 1
            if not box:
                rows.append({"row": row, "image": image})
                continue
            numbers = [_number(part) for part in box]
            known = [number for number in numbers if number is not None]
            if len(box) != 5 or len(known) != 5 or not known[0].is_integer():
                faults.append((row, "bad-value", "the line is no class and four numbers"))
            elif not 0 <= known[0] < len(classes):
                faults.append((row, "unknown-class", "source.yaml has no name for the class"))
            else:
                rows.append({"row": row, "image": image, "phrase": classes[int(known[0])],
                             "box": json.dumps(known[1:])})  # fmt: skip
    return rows, row, faults


def label_files(folder: Path) -> Iterator[Path]:
    """Yield the label files of YOLO in a folder, sorted."""
    for path in sorted(folder.rglob("*.txt")):
        if path.name not in NOT_LABELS:
            yield path


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
