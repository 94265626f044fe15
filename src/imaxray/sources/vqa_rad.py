"""Reads clinicians' questions about the chest radiographs of VQA-RAD."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._checks.json_items import BadItem
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.json_items import read_items, text_of
from imaxray.sources._shared.records import SourceTables
from imaxray.sources._shared.tables import exists, find_file, is_inside, relative, release_file

_FILES: Final = {"train": "trainset.json", "test": "testset.json"}
_PUBLIC: Final = "VQA_RAD Dataset Public.json"
"""The file of the dataset's page, which holds all questions; the split is in ``phrase_type``."""

_KEYS: Final = ("image_name", "image_organ", "question", "answer", "answer_type")
_FOLDERS: Final = ("images", "VQA_RAD Image Folder", "imgs")


class VqaRad(Source):
    """Reads questions about chest radiographs; those about head and abdomen are rejects.

    The code of these rejects is ``not-chest``. All 107 images of the organ CHEST are frontal
    radiographs (one of them, synpic44865, is a photographed film with one opaque hemithorax). There
    are no patient ids, so an image counts as a patient; an image with any test question is a test
    image.
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
        paths = [path for path, _ in self._paths(root)]
        for path in paths:
            read_items(path, _KEYS)
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
        for path, of_file in self._paths(root):
            file = relative(path, root)
            items = read_items(path, _KEYS)
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
                kind_of_phrase = text_of(item.get("phrase_type")).lower()
                split = of_file or ("test" if kind_of_phrase.startswith("test") else "train")
                questions.append((image, "qa", kind, closed, question, [answer], *where))
                hints.append((image, "test" if split == "test" else None, *where))
        return SourceTables(
            images=_frame(images.values(), _IMAGE_COLUMNS, IMAGES),
            annotations=_frame(questions, _QUESTION_COLUMNS, SOURCE_ANNOTATIONS).with_columns(
                pl.lit("human").alias("origin"), pl.lit("clinician").alias("quality")
            ),
            hints=_frame(hints, ("image_id", "split", "source", "file", "row"), SPLIT_HINTS),
            rejects=pl.DataFrame(rejects, schema=REJECTS, orient="row"),
            files=tuple(files),
        )

    def _paths(self, root: Path) -> list[tuple[Path, str | None]]:
        """Return the files with their splits; None where the items state the split."""
        if (root / _PUBLIC).is_file() and not (root / _FILES["train"]).is_file():
            return [(root / _PUBLIC, None)]
        return [(find_file(root, (file,), self.name), split) for split, file in _FILES.items()]

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
