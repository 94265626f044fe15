"""Reads LLaVA JSON and messages JSONL of other projects into an :class:`AuditInput`.

A record has ``conversations`` (``from``/``value``) or ``messages`` (``role``/``content``, text or
blocks), ``image`` or ``images``, and perhaps the field ``objects`` of ms-swift. Each answer of a
conversation is one entry. ``split``, ``task``, ``source`` and the patient are taken from the fields
of these names in the record or in its ``meta``, if they exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from imaxray.audit.audit_input import (
    BOX_LISTS,
    FILES,
    LABELS,
    NO_SPLIT,
    PLACES,
    AuditInput,
    AuditIssue,
    conform_rows,
)
from imaxray.audit.reading.chat_record import (
    BadRecordError,
    Exchange,
    boxes_of,
    field,
    images_of,
    marks_problem,
    turns_of,
)
from imaxray.audit.reading.patient_paths import patient_of
from imaxray.errors import ImaxrayError
from imaxray.schema import ENTRIES, task_names
from imaxray.sources import is_inside
from imaxray.tasks import get_task, to_json

_SUFFIXES: Final = (".json", ".jsonl")
_SPLITS: Final = {
    "train": "train", "training": "train", "trainset": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "testset": "test",
}  # fmt: skip
_ANNOTATIONS: Final = frozenset({"annotation.json", "annotations.json"})
"""Names of R2Gen's file, which holds all splits."""

_EXPORT: Final = "export.json"
_NO_DATA: Final = frozenset({"dataset_info.json", "export.json", "left_out.jsonl"})
_WORDS: Final = re.compile(r"[^A-Za-z]+")
_MIMIC_ID: Final = re.compile(r"(?:mimic-cxr/)?p?(1\d{7})(?:\.0)?")
_PATIENT: Final = ("patient_id", "subject_id")
_REFERS: Final = re.compile(
    r"\b(?:it|its|they|them|that|these|those|this(?!\s+(?:\w+\s+)?(?:image|x-?ray|radiograph|film)))\b",
    re.IGNORECASE,
)
"""Words with which a question may refer to the turn before it."""


def data_files(folder: Path) -> list[Path]:
    """Return the JSON and JSONL files of a folder that are named after a split.

    Raises:
        ImaxrayError: The folder has no such file.
    """
    inner = [p for p in folder.iterdir() if p.is_dir() and p.name.lower() in _SPLITS]
    files = [
        path
        for place in (folder, *sorted(inner))
        for path in sorted(place.iterdir())
        if path.suffix.lower() in _SUFFIXES and path.is_file()
    ]
    named = [
        path
        for path in files
        if path.name in _ANNOTATIONS
        or _split_of_name(path.stem) is not None
        or (path.parent != folder and path.name not in _NO_DATA)
    ]
    if not named:
        raise ImaxrayError(
            f"Expected a dataset folder, or .json and .jsonl files named train, val or test (or in "
            f"folders of these names) in {folder}, but found none; pass the paths of the files."
        )
    return named


def read_files(
    paths: Sequence[Path],
    images: Path | None,
    *,
    patient_field: str | None,
    perceptual: bool,
    workers: int,
) -> AuditInput:
    """Read files of other projects.

    Args:
        paths: Paths of LLaVA JSON or messages JSONL files.
        images: Folder to which image paths are relative; by default the folder of each file.
        patient_field: Field with the patient's id; by default ``patient_id``, ``subject_id``, or
            the patient in the path of an image.
        perceptual: Whether near duplicates are searched.
        workers: Number of processes that decode images.

    Raises:
        ImaxrayError: A file is missing or is not JSON, or no record has the patient field.
    """
    rows = _Rows(patient_field)
    chosen = sorted(set(paths))
    names = [path.name for path in chosen]
    for path in chosen:
        # files of the same name in several folders need different names
        name = path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        split = _split_of_name(path.stem) or _SPLITS.get(path.parent.name.lower())
        # an export of imaxray names images where they lie in their releases
        own = images is None and (path.parent / _EXPORT).is_file()
        root = images or (path.parent if _split_of_name(path.stem) else _above(path))
        source = " ".join(w for w in _WORDS.split(path.stem) if w and w.lower() not in _SPLITS)
        for number, record in enumerate(_records(path), start=1):
            rows.add(record, f"{name}:{number}", split, source or None, root, own=own)
    if patient_field is not None and rows.records and not rows.named_patients:
        raise ImaxrayError(
            f"Expected the field {patient_field} in the records of {paths[0].name}, but no record "
            "has it; correct --patient-field."
        )
    return AuditInput(
        title=", ".join(names),
        entries=conform_rows(rows.entries, ENTRIES),
        places=conform_rows(rows.places, PLACES).unique().sort(pl.all()),
        files=conform_rows(rows.files, FILES)
        .unique("image_id", keep="first", maintain_order=True)
        .sort("image_id"),
        boxes=conform_rows(rows.boxes, BOX_LISTS),
        labels=conform_rows(rows.labels, LABELS).unique(
            ["image_id", "name"], keep="first", maintain_order=True
        ),
        bad=tuple(rows.bad),
        perceptual=perceptual,
        workers=workers,
        contexts=rows.contexts,
        unsure_patients=len(rows.unsure),
    )


def _records(path: Path) -> list[Any]:
    """Read a JSON list, or one JSON object per line; ``None`` stands for an unreadable line."""
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
    except OSError as error:
        raise ImaxrayError(
            f"Expected a .json or .jsonl file at {path}, but it cannot be read; correct the path."
        ) from error
    if content.startswith(b"["):
        try:
            items: list[Any] = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ImaxrayError(
                f"Expected a JSON list in {path}, but it is damaged; write the file again."
            ) from error
        return items
    if content.startswith(b"{") and (parts := _by_split(content)) is not None:
        return parts
    if not content.startswith(b"{"):
        raise ImaxrayError(
            f"Expected a JSON list or one JSON object per line in {path}, but it holds neither; "
            "export the data as LLaVA JSON or messages JSONL."
        )
    return [_line(line) for line in content.split(b"\n") if line.strip()]


def _by_split(content: bytes) -> list[Any] | None:
    """Read one object of lists by split, as R2Gen writes it; None if it is no such object."""
    try:
        whole = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None  # several lines
    if not isinstance(whole, dict) or not whole.keys() <= _SPLITS.keys():
        return None
    return [
        {"split": name, **record} if isinstance(record, dict) else record
        for name, records in whole.items()
        for record in (records if isinstance(records, list) else [records])
    ]


def _line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _above(path: Path) -> Path:
    """Return the folder that paths are relative to: above ``train/data.jsonl``, else the file's."""
    return path.parent.parent if path.parent.name.lower() in _SPLITS else path.parent


class _Rows:
    """Collects the rows of all tables, record by record."""

    def __init__(self, patient_field: str | None) -> None:
        self._fields = _PATIENT if patient_field is None else (patient_field,)
        self.records = 0
        self.named_patients = 0
        self.entries: list[tuple[Any, ...]] = []
        self.places: list[tuple[Any, ...]] = []
        self.files: list[tuple[Any, ...]] = []
        self.boxes: list[tuple[Any, ...]] = []
        self.labels: list[tuple[Any, ...]] = []
        self.bad: list[AuditIssue] = []
        self.unsure: set[str] = set()
        self.contexts: dict[str, str] = {}

    def add(
        self,
        record: Any,
        where: str,
        file_split: str | None,
        file_source: str | None,
        root: Path,
        *,
        own: bool = False,
    ) -> None:
        """Add one record, or an issue that says why it cannot be read.

        Args:
            record: Record of a file.
            where: Name of the file and number of the record.
            file_split: Split in the name of the file.
            file_source: Source in the name of the file.
            root: Folder to which image paths are relative.
            own: Whether imaxray wrote the file, so that whole paths of images are followed.
        """
        self.records += 1
        try:
            if not isinstance(record, dict):
                raise BadRecordError("not a JSON object")
            turns, paths = turns_of(record), images_of(record)
            listed = boxes_of(record, len(paths))
        except BadRecordError as error:
            self.bad.append(AuditIssue("bad-record", file_split or NO_SPLIT, where, str(error)))
            return
        split = _SPLITS.get(str(field(record, "split")).lower(), file_split) or NO_SPLIT
        source = field(record, "source")
        source = file_source if source is None else str(source)
        ids = [_image_id(path, root) for path in paths]
        named = self._named(record)
        told = [patient_of(path) for path in paths]
        for path, image, by_path in zip(paths, ids, told, strict=True):
            self.places.append((image, named or by_path.patient, source, split))
            if named is None and by_path.unsure:
                self.unsure.add(image)
            file, problem = _located(path, root, own=own)
            self.files.append((image, file, None, problem, None, None))
        if not ids:  # a record without images still belongs to its patient
            self.places.append((where, named, source, split))
        if (problem := marks_problem(record, len(paths))) is not None:
            self.bad.append(AuditIssue("marks", split, where, problem))
        for boxes, unit, place in listed:
            self.boxes.append((split, where, ids[place], boxes, unit))
        patient = named or next((t.patient for t in told if t.patient), None)
        first = ids[0] if ids else where
        for number, turn in enumerate(turns, start=1):
            name = where if len(turns) == 1 else f"{where}#{number}"
            self._entry(turn, field(record, "task"), name, first, patient, split, source)
            earlier = turns[number - 2] if number > 1 and _REFERS.search(turn.prompt) else None
            if len(ids) > 1 or earlier is not None:
                self.contexts[name] = repr((ids[1:], earlier))

    def _named(self, record: dict[str, Any]) -> str | None:
        for name in self._fields:
            value = field(record, name)
            if value is not None and str(value).strip():
                self.named_patients += 1
                mimic = _MIMIC_ID.fullmatch(str(value).strip())
                return f"mimic-cxr/{mimic.group(1)}" if mimic else str(value).strip()
        return None

    def _entry(
        self,
        turn: Exchange,
        stated_task: Any,
        name: str,
        image: str,
        patient: str | None,
        split: str,
        source: str | None,
    ) -> None:
        task = get_task(stated_task if stated_task in task_names() else _guess(turn))
        template = f"{task.name}.{task.subtask_for(turn.prompt)}.0"
        gold = task.read_target(turn.target, template)
        labels = None if gold is None else task.content(gold).labels
        self.labels += [(image, label, float(value)) for label, value in (labels or {}).items()]
        self.entries.append((
            name, image, patient, task.name, split, turn.prompt, turn.target, [],
            None if gold is None else to_json(gold), template, [source] if source else [], None,
        ))  # fmt: skip


def _guess(turn: Exchange) -> str:
    """Return the task of a record that names none: REG if only the prompt has a box, else VQA."""
    return "reg" if "<bbox>" in turn.prompt and "<bbox>" not in turn.target else "vqa"


def _split_of_name(stem: str) -> str | None:
    found = {_SPLITS[word] for word in _WORDS.split(stem.lower()) if word in _SPLITS}
    return found.pop() if len(found) == 1 else None


def _image_id(path: str, root: Path) -> str:
    """Return the path as written, without the folder of images."""
    plain = path.replace("\\", "/").removeprefix("./")
    return plain.removeprefix(f"{root.resolve().as_posix()}/")


def _located(path: str, root: Path, *, own: bool = False) -> tuple[str | None, str | None]:
    """Return the path of the file, or the problem with it."""
    if own and Path(path).is_absolute():
        return path, None
    relative = _image_id(path, root)
    if "://" in path or path.startswith("data:"):
        return None, "not the path of a local file"
    if not is_inside(relative):
        return None, "the path leads out of the folder of images; pass another one with --images"
    return str(root / relative), None
