"""Reads the chest radiographs of SLAKE with physicians' questions and boxes."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import boxes, radiograph
from imaxray._common.strict_json import BadItem, parse_item
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.archives import MAX_MEMBER_BYTES
from imaxray.sources._shared.files.json_items import read_items, text_of
from imaxray.sources._shared.files.paths import (
    exists,
    find_file,
    is_inside,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_ROOTS: Final = ("", "Slake1.0/", "SLAKE/")
_FILES: Final = {
    "train": ("train.json",),
    "val": ("validate.json", "validation.json"),
    "test": ("test.json",),
}
_KEYS: Final = (
    "img_name", "question", "answer", "q_lang", "location", "modality", "answer_type",
)  # fmt: skip
_CHEST: Final = ("lung", "chest")
_DETECTION: Final = "detection.json"

_Reject = tuple[str, str]  # code, message


class Slake(Source):
    """Reads English questions about chest radiographs, and boxes of organs and diseases in them.

    Questions in Chinese (``not-english``), about CT or MRI (``not-x-ray``) and about other parts of
    the body (``not-chest``) are rejects. The boxes of an image are rejects if no accepted question
    is about it. All boxes with one name are one annotation. There are no patient ids, so an image
    counts as a patient; the release splits by image. It is not documented whether left and right in
    the names are the patient's or the viewer's.
    """

    name = "slake"
    title = "SLAKE"
    version = "1.0"
    collection = "slake"
    tasks = ("vqa", "rec", "reg")
    access = "open"
    licence = "CC BY 4.0"
    citation = "Liu et al., ISBI 2021, arXiv:2102.09542"
    url = "https://www.med-vqa.com/slake/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        paths = self._paths(root)
        for path in paths.values():
            read_items(path, _KEYS)
        return [relative(path, root) for path in (*paths.values(), self._folder(paths))]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        paths = self._paths(root)
        folder = self._folder(paths)
        reading = _Reading(self, root, folder)
        files = []
        for split, path in paths.items():
            items = read_items(path, _KEYS)
            file = relative(path, root)
            files.append(release_file(path, root, self.name, len(items)))
            for row, item in enumerate(items, start=1):
                reading.question(item, split, file, row)
        files.append(reading.detections())
        return reading.tables(tuple(files))

    def _paths(self, root: Path) -> dict[str, Path]:
        require_root(root, self.name)
        base = next((b for b in _ROOTS if (root / f"{b}train.json").is_file()), "")
        return {
            split: find_file(root, tuple(f"{base}{name}" for name in names), self.name)
            for split, names in _FILES.items()
        }

    def _folder(self, paths: dict[str, Path]) -> Path:
        folder = paths["train"].parent / "imgs"
        if not any(folder.glob("xmlab*")) and (folder / "imgs").is_dir():
            return folder / "imgs"  # some programs unpack imgs.zip into a folder of its name
        if not folder.is_dir():
            raise ImaxrayError(
                f"Expected the folder {folder} of the {self.name} release, but there is none; "
                "unpack imgs.zip there."
            )
        return folder


class _Reading:
    """Collects images, questions, regions, hints and rejects while one release is read."""

    def __init__(self, source: Slake, root: Path, folder: Path) -> None:
        self._source, self._root, self._folder = source, root, folder
        self._found: dict[str, tuple[str, tuple[int, int]] | _Reject] = {}  # by name of the image
        self._images: dict[str, tuple[Any, ...]] = {}
        self._questions: list[tuple[Any, ...]] = []
        self._regions: list[tuple[Any, ...]] = []
        self._hints: list[tuple[Any, ...]] = []
        self._rejects: list[tuple[Any, ...]] = []

    def question(self, item: Any, split: str, file: str, row: int) -> None:
        """Read one item of a question list."""
        name = text_of(item.get("img_name")) if isinstance(item, dict) else ""
        problem = _problem(item, name)
        where = (self._source.name, file, row)
        found = self._image(name) if problem is None else problem
        if isinstance(found[0], str) and isinstance(found[1], str):
            self._rejects.append((*where, name, *found))
            return
        path, size = found
        image = f"{self._source.collection}/{name.rpartition('/')[0]}"
        self._images.setdefault(image, (image, image, path, *size, *where))
        kind = text_of(item.get("content_type")) or "question"
        closed = float(text_of(item["answer_type"]).upper() == "CLOSED")
        answer = text_of(item["answer"]).lower()
        question = text_of(item["question"])
        self._questions.append((image, "qa", kind, closed, question, [answer], None, *where))
        self._hints.append((image, split, *where))

    def detections(self) -> ReleaseFile:
        """Read the boxes of the images that have a question; the folder counts as one file."""
        digest = hashlib.sha256()
        paths = sorted(path for path in self._folder.glob(f"*/{_DETECTION}") if path.is_file())
        file = relative(self._folder, self._root)
        for row, path in enumerate(paths, start=1):
            member = relative(path, self._folder)
            digest.update(member.encode())
            where = (self._source.name, file, row)
            if path.stat().st_size > MAX_MEMBER_BYTES:
                self._rejects.append((*where, member, "unreadable-member", "the file is too large"))
                continue
            content = path.read_bytes()
            digest.update(content)
            image = f"{self._source.collection}/{path.parent.name}"
            if image not in self._images:
                what = "no admitted question is about the image"
                self._rejects.append((*where, member, "not-chest", what))
                continue
            regions, problems = _regions(content)
            self._rejects += [(*where, member, *problem) for problem in problems]
            for name, found in regions.items():
                fact = (image, "region", name, None, name.lower(), None, found)
                self._regions.append((*fact, *where))
        return ReleaseFile(self._source.name, file, len(paths), digest.hexdigest())

    def tables(self, files: tuple[ReleaseFile, ...]) -> SourceTables:
        """Return everything that was read."""
        where = ("source", "file", "row")
        fact = ("image_id", "kind", "name", "value", "text", "answers", "boxes")
        facts = _frame(self._questions + self._regions, (*fact, *where), SOURCE_ANNOTATIONS)
        image = ("image_id", "patient_id", "path", "width", "height")
        return SourceTables(
            images=_frame(list(self._images.values()), (*image, *where), IMAGES),
            annotations=conform(
                facts.with_columns(
                    pl.lit("human").alias("origin"), pl.lit("physician").alias("quality")
                ),
                SOURCE_ANNOTATIONS,
            ),
            hints=_frame(self._hints, ("image_id", "split", *where), SPLIT_HINTS),
            rejects=pl.DataFrame(self._rejects, schema=REJECTS, orient="row"),
            files=files,
        )

    def _image(self, name: str) -> tuple[str, tuple[int, int]] | _Reject:
        """Return the path inside the release and the size, or the code and message of a reject."""
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def _look(self, name: str) -> tuple[str, tuple[int, int]] | _Reject:
        folder, _, file = name.rpartition("/")
        # One mirror names the file source_xmlab1.jpg instead of source.jpg.
        stem, _, suffix = file.rpartition(".")
        for path in (self._folder / name, self._folder / folder / f"{stem}_{folder}.{suffix}"):
            if exists(path):
                try:
                    return relative(path, self._root), radiograph.size(path)
                except ImaxrayError:
                    return "unreadable-image", "the image file is damaged"
        return "missing-image", "the image is not in this copy"


def _problem(item: Any, name: str) -> _Reject | None:
    if isinstance(item, BadItem):
        return item.code, item.message
    if not isinstance(item, dict):
        return "bad-json", "the item is no object"
    said = {key: text_of(item.get(key)) for key in _KEYS}
    if said["q_lang"].lower() != "en":
        return "not-english", "q_lang is not en"
    if said["modality"].upper() not in ("X-RAY", "XRAY"):
        return "not-x-ray", "modality is not X-Ray"
    if not said["location"].lower().startswith(_CHEST):
        return "not-chest", "location is neither the lung nor the chest"
    if not said["question"] or not said["answer"]:
        return "empty-text", "the question or the answer is empty"
    if said["answer_type"].upper() not in ("OPEN", "CLOSED"):
        return "bad-value", "answer_type must be OPEN or CLOSED"
    if not is_inside(name):
        return "path-outside-release", "img_name leaves the image folder"
    if name.count("/") != 1 or not all(name.split("/")):
        return "bad-id", "img_name is not <folder>/<file>"
    return None


def _regions(content: bytes) -> tuple[dict[str, list[list[float]]], list[_Reject]]:
    """Return the boxes (xyxy, pixels) of one ``detection.json`` by name, and rejects."""
    items = parse_item(content)
    if isinstance(items, BadItem):
        return {}, [(items.code, items.message)]
    pairs = _pairs(items)
    if pairs is None:
        return {}, [("bad-json", "the file is no list of named boxes")]
    if not pairs:
        return {}, [("no-box", "the file has no box")]
    found: dict[str, list[list[float]]] = {}
    problems: list[_Reject] = []
    for name, xywh in pairs:
        corners = _corners(xywh)
        if corners is None or not name.strip():
            problems.append(("bad-value", "a box must have a name and four numbers"))
        elif boxes.area(corners) <= 0:
            problems.append(("zero-area-box", "the box has no width or no height"))
        else:
            found.setdefault(name.strip(), []).append(list(corners))
    return found, problems


def _pairs(items: Any) -> list[tuple[str, Any]] | None:
    """Return the name and the box of every item, or None if it is no list of objects."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    return [pair for item in items for pair in item.items()]


def _corners(xywh: Any) -> boxes.Box | None:
    if not isinstance(xywh, list) or len(xywh) != 4:
        return None
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in xywh):
        return None
    try:
        box = boxes.from_xywh(*(float(v) for v in xywh))
    except OverflowError:
        return None
    return box if all(map(math.isfinite, box)) and xywh[2] >= 0 and xywh[3] >= 0 else None


def _frame(
    rows: list[tuple[Any, ...]], columns: tuple[str, ...], schema: pl.Schema
) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={c: schema[c] for c in columns}, orient="row"), schema)
