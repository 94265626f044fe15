"""Reads clinicians' questions about the chest radiographs of VQA-RAD."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import radiograph
from imaxray._common.strict_json import BadItem
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.json_items import read_items, text_of
from imaxray.sources._shared.files.paths import (
    exists,
    find_file,
    is_inside,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.records import SourceTables

_FILES: Final = {"train": "trainset.json", "test": "testset.json"}
_PUBLIC: Final = ("VQA_RAD Dataset Public.json", "VQA_RAD_Dataset_Public.json")
"""Names of the publisher's file; downloads replace the blanks."""

_KEYS: Final = ("image_name", "image_organ", "question", "answer", "answer_type")
_PHRASE: Final = "phrase_type"  # test_freeform and test_para mark the test set
_FOLDERS: Final = ("images", "VQA_RAD Image Folder", "VQA_RAD_Image_Folder", "imgs")
_FRAME: Final = "question_frame"
_NO_FRAME: Final = ("", "null", "none")


class VqaRad(Source):
    """Reads questions about chest radiographs; those about head and abdomen are rejects.

    The code of these rejects is ``not-chest``. All 107 images of the organ CHEST are frontal
    radiographs (one of them, synpic44865, is a photographed film with one opaque hemithorax). There
    are no patient ids, so an image counts as a patient; an image with any test question is a test
    image.

    The copy may hold the publisher's file (``VQA_RAD Dataset Public.json``, 2,248 questions) or the
    two files of the authors' split that are passed on (``trainset.json``, ``testset.json``). In the
    former, ``phrase_type`` marks the test set. Its framed wordings of questions are not read; the
    split has them as questions of their own.
    """

    name = "vqa-rad"
    title = "VQA-RAD"
    version = "2018"
    collection = "vqa-rad"
    tasks = ("vqa",)
    access = "open"
    licence = "CC0 1.0"
    citation = "Lau et al., Sci Data 5:180251 (2018)"
    url = "https://osf.io/89kps/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        paths = self._paths(root)
        for path in paths:
            read_items(path, self._keys(path))
        self._folder(root)
        return [relative(path, root) for path in paths]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        folder = self._folder(root)
        sizes: dict[str, tuple[int, int] | None] = {}
        images: dict[str, tuple[Any, ...]] = {}
        questions: list[tuple[Any, ...]] = []
        hints: list[tuple[Any, ...]] = []
        rejects: list[tuple[Any, ...]] = []
        files = []
        for path in self._paths(root):
            file = relative(path, root)
            items = read_items(path, self._keys(path))
            files.append(release_file(path, root, self.name, len(items)))
            for row, item in enumerate(items, start=1):
                where = (self.name, file, row)
                name = text_of(item.get("image_name")) if isinstance(item, dict) else ""
                problem = _problem(item, name) or _image_problem(root / folder / name, sizes, name)
                if problem is not None:
                    rejects.append((*where, name, *problem))
                    continue
                image, size = f"{self.collection}/{name}", sizes[name]
                assert size is not None  # _image_problem reports an image without a size
                images.setdefault(image, (image, image, f"{folder}/{name}", *size, *where))
                closed = float(text_of(item["answer_type"]).upper() == "CLOSED")
                answer = text_of(item["answer"]).lower()
                kind = text_of(item.get("question_type")) or "question"
                question = text_of(item["question"])
                questions.append((image, "qa", kind, closed, question, [answer], *where))
                hints.append((image, "test" if _is_test(item, file) else None, *where))
        return SourceTables(
            images=_frame(images.values(), _IMAGE_COLUMNS, IMAGES),
            annotations=_frame(questions, _QUESTION_COLUMNS, SOURCE_ANNOTATIONS).with_columns(
                pl.lit("human").alias("origin"), pl.lit("clinician").alias("quality")
            ),
            hints=_frame(hints, ("image_id", "split", "source", "file", "row"), SPLIT_HINTS),
            rejects=pl.DataFrame(rejects, schema=REJECTS, orient="row"),
            files=tuple(files),
        )

    def remarks(self, root: Path) -> list[str]:
        """State how many questions have a framed wording, which is not read."""
        (path, *others) = self._paths(root)
        if others:
            return []
        items = [item for item in read_items(path, _KEYS) if isinstance(item, dict)]
        framed = sum(text_of(item.get(_FRAME)).lower() not in _NO_FRAME for item in items)
        said = f"Questions whose framed wording ({_FRAME}) is not read: {framed:,}."
        return [said] if framed else []

    def _paths(self, root: Path) -> list[Path]:
        """Return the files of the two sets, or the publisher's file."""
        public = next((root / name for name in _PUBLIC if (root / name).is_file()), None)
        if public is not None and not all((root / file).is_file() for file in _FILES.values()):
            return [public]
        if not any((root / file).is_file() for file in _FILES.values()):
            require_root(root, self.name)
            raise ImaxrayError(
                f"Expected {' and '.join(_FILES.values())}, or {_PUBLIC[0]}, in the {self.name} "
                f"release at {root}, but found none of them; download the file or correct the path."
            )
        return [find_file(root, (file,), self.name) for file in _FILES.values()]

    def _keys(self, path: Path) -> tuple[str, ...]:
        return (*_KEYS, _PHRASE) if path.name in _PUBLIC else _KEYS

    def _folder(self, root: Path) -> str:
        for folder in _FOLDERS:
            if (root / folder).is_dir():
                return folder
        raise ImaxrayError(
            f"Expected the folder {' or '.join(_FOLDERS)} in the {self.name} release at {root}, "
            "but found none of them; unpack the images there."
        )


_IMAGE_COLUMNS: Final = (
    "image_id", "patient_id", "path", "width", "height", "source", "file", "row",
)  # fmt: skip
_QUESTION_COLUMNS: Final = (
    "image_id", "kind", "name", "value", "text", "answers", "source", "file", "row",
)  # fmt: skip


def _is_test(item: dict[str, Any], file: str) -> bool:
    return file == _FILES["test"] or text_of(item.get(_PHRASE)).lower().startswith("test")


def _problem(item: Any, name: str) -> tuple[str, str] | None:
    if isinstance(item, BadItem):
        return item.code, item.message
    if not isinstance(item, dict):
        return "bad-json", "the item is no object"
    if text_of(item.get("image_organ")).upper() != "CHEST":
        return "not-chest", "image_organ is not CHEST"
    if not text_of(item.get("question")) or not text_of(item.get("answer")):
        return "empty-text", "the question or the answer is empty"
    if text_of(item.get("answer_type")).upper() not in ("OPEN", "CLOSED"):
        return "bad-value", "answer_type must be OPEN or CLOSED"
    if not name or not is_inside(name):
        return "path-outside-release", "image_name leaves the image folder"
    return None


def _image_problem(
    path: Path, sizes: dict[str, tuple[int, int] | None], name: str
) -> tuple[str, str] | None:
    if name not in sizes:
        try:
            sizes[name] = radiograph.size(path)
        except ImaxrayError:
            sizes[name] = None
    if sizes[name] is not None:
        return None
    if exists(path):
        return "unreadable-image", "the image file is damaged"
    return "missing-image", "the image is not in this copy"


def _frame(rows: Any, columns: tuple[str, ...], schema: pl.Schema) -> pl.DataFrame:
    return conform(
        pl.DataFrame(list(rows), schema={c: schema[c] for c in columns}, orient="row"), schema
    )
