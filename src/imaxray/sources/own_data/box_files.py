"""Reads boxes from files of COCO, Pascal VOC and YOLO as rows, one per box.

An image without boxes is a row too, because it belongs to the release.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

import orjson
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from imaxray._common.files import require_file
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import Fault

Rows = tuple[list[dict[str, Any]], int, list[Fault]]
"""Rows with their number `row` and text columns; the number of all rows; those left out."""

NOT_LABELS: Final = ("classes.txt", "obj.names", "labels.txt", "train.txt", "val.txt", "test.txt")
"""Files beside YOLO's labels that hold no boxes."""

_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")


def read_coco(path: Path, _classes: tuple[str, ...]) -> Rows:
    """Read a COCO file: its images are the first rows, its annotations the rows after them.

    Raises:
        ImaxrayError: If the file is no JSON, or lacks images or annotations.
    """
    require_file(path)
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ImaxrayError(
            f"Expected JSON of COCO at {path}, but it cannot be read; write it again."
        ) from error
    content = content if isinstance(content, dict) else {}
    images, boxes = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(boxes, list):
        raise ImaxrayError(
            f"Expected the lists images and annotations in {path}, as COCO has them, but they are "
            "missing; name another file, or write JSON lines."
        )
    names = {
        item.get("id"): item.get("name")
        for item in content.get("categories") or []
        if isinstance(item, dict)
    }
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    by_id: dict[Any, dict[str, Any]] = {}
    for row, item in enumerate(images, start=1):
        if not isinstance(item, dict) or not isinstance(item.get("file_name"), str):
            faults.append((row, "bad-json", "the image has no file_name"))
            continue
        size = {k: str(item[k]) for k in ("width", "height") if isinstance(item.get(k), int)}
        about = {"image": item["file_name"], **{f"image_{k}": v for k, v in size.items()}}
        by_id[_key(item.get("id"))] = about
        rows.append({"row": row, **about})
    for row, item in enumerate(boxes, start=len(images) + 1):
        about_image = by_id.get(_key(item.get("image_id"))) if isinstance(item, dict) else None
        if about_image is None:
            faults.append((row, "unknown-image", "the annotation names none of the images"))
            continue
        phrase = names.get(_key(item.get("category_id")))
        if not isinstance(phrase, str):
            faults.append((row, "unknown-class", "the annotation names none of the categories"))
            continue
        rows.append({"row": row, **about_image, "phrase": phrase,
                     "box": json.dumps(item.get("bbox"))})  # fmt: skip
    return rows, len(images) + len(boxes), faults


def _key(value: Any) -> Any:
    return value if isinstance(value, (int, str)) else None


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
