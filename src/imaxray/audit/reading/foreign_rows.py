"""Collects the images, entries, boxes and labels of foreign files for an :class:`AuditInput`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray.audit.audit_input import (
    BOX_LISTS,
    FILES,
    LABELS,
    PLACES,
    AuditInput,
    AuditIssue,
    conform_rows,
)
from imaxray.audit.reading.chat_record import Exchange, ImageName
from imaxray.audit.reading.patient_paths import patient_of
from imaxray.audit.reading.patient_table import PatientTable
from imaxray.schema import ENTRIES, task_names
from imaxray.sources import is_inside
from imaxray.tasks import get_task, to_json

_MIMIC_ID: Final = re.compile(r"(?:mimic-cxr/)?p?(1\d{7})(?:\.0)?")


class ForeignRows:
    """Collects the rows of all tables.

    Attributes:
        bad: Records that could not be read.
        boxes: Rows of schema BOX_LISTS.
        labels: Rows of schema LABELS; of several for one image and name, the first one counts.
        contexts: See :class:`~imaxray.audit.audit_input.AuditInput`.
        named_by_table: Number of images whose patient the table names.

    Args:
        patients: Table of the patients of images whose record names none.
    """

    def __init__(self, patients: PatientTable | None = None) -> None:
        self._patients = patients
        self.named_by_table = 0
        self.bad: list[AuditIssue] = []
        self.boxes: list[tuple[Any, ...]] = []
        self.labels: list[tuple[str, str, float]] = []
        self.contexts: dict[str, str] = {}
        self._entries: list[tuple[Any, ...]] = []
        self._places: list[tuple[Any, ...]] = []
        self._files: list[tuple[Any, ...]] = []
        self._unsure: set[str] = set()

    def add_image(
        self,
        image: ImageName,
        root: Path,
        *,
        file: Path,
        own: bool,
        patient: str | None,
        source: str | None,
        split: str,
    ) -> tuple[str, str | None]:
        """Add an image; return its id, and its patient as stated or as its path says.

        Args:
            image: Name of the image, or its place in the file.
            root: Folder to which the path is relative.
            file: File that names or holds the image.
            own: Whether imaxray wrote the file, so that whole paths of images are followed.
            patient: Patient that the record states.
            source: Source of the record.
            split: Split of the record.
        """
        identity = _image_id(image, root)
        if patient is None and self._patients is not None:
            patient = patient_id(self._patients.patient_of(image.path))
            self.named_by_table += patient is not None
        by_path = patient_of(image.path)
        if patient is None and by_path.unsure:
            self._unsure.add(identity)
        owner = patient or by_path.patient
        self._places.append((identity, owner, source, split))
        if image.place is None:
            found, problem = _located(image.path, root, own=own)
            self._files.append((identity, found, None, problem, None, None))
        else:
            self._files.append((identity, str(file), image.place, None, None, None))
        return identity, owner

    def add_patient(self, where: str, patient: str | None, source: str | None, split: str) -> None:
        """Add a record without images, which still belongs to its patient."""
        self._places.append((where, patient, source, split))

    def add_entry(
        self,
        turn: Exchange,
        stated_task: Any,
        *,
        name: str,
        image: str,
        patient: str | None,
        split: str,
        source: str | None,
    ) -> None:
        """Add an answer and the question before it."""
        task = get_task(stated_task if stated_task in task_names() else _guess(turn))
        template = f"{task.name}.{task.subtask_for(turn.prompt)}.0"
        gold = task.read_target(turn.target, template)
        labels = None if gold is None else task.content(gold).labels
        self.labels += [(image, label, float(value)) for label, value in (labels or {}).items()]
        self._entries.append((
            name, image, patient, task.name, split, turn.prompt, turn.target, [],
            None if gold is None else to_json(gold), template, [source] if source else [], None,
        ))  # fmt: skip

    def audit_input(self, title: str, *, perceptual: bool, workers: int) -> AuditInput:
        """Return everything that was added."""
        return AuditInput(
            title=title,
            entries=conform_rows(self._entries, ENTRIES),
            places=conform_rows(self._places, PLACES).unique().sort(pl.all()),
            files=conform_rows(self._files, FILES)
            .unique("image_id", keep="first", maintain_order=True)
            .sort("image_id"),
            boxes=conform_rows(self.boxes, BOX_LISTS),
            labels=conform_rows(self.labels, LABELS).unique(
                ["image_id", "name"], keep="first", maintain_order=True
            ),
            bad=tuple(self.bad),
            perceptual=perceptual,
            workers=workers,
            contexts=self.contexts,
            unsure_patients=len(self._unsure),
        )


def patient_id(value: Any) -> str | None:
    """Return a stated patient as text; a number of MIMIC-CXR is always written in one way."""
    text = "" if value is None else str(value).strip()
    mimic = _MIMIC_ID.fullmatch(text)
    return f"mimic-cxr/{mimic.group(1)}" if mimic else text or None


def _guess(turn: Exchange) -> str:
    """Return the task of a record that names none: REG if only the prompt has a box, else VQA."""
    return "reg" if "<bbox>" in turn.prompt and "<bbox>" not in turn.target else "vqa"


def _image_id(image: ImageName, root: Path) -> str:
    """Return the path as written, without the folder of images.

    Images in a file may have equal names, or none, so the digest of their bytes is added.
    """
    plain = image.path.replace("\\", "/").removeprefix("./")
    plain = plain.removeprefix(f"{root.resolve().as_posix()}/")
    return plain if image.digest is None else f"{plain}@{image.digest[:12]}"


def _located(path: str, root: Path, *, own: bool) -> tuple[str | None, str | None]:
    """Return the path of the file, or the problem with it."""
    if own and Path(path).is_absolute():
        return path, None
    relative = _image_id(ImageName(path), root)
    if "://" in path or path.startswith("data:"):
        return None, "not the path of a local file"
    if not is_inside(relative):
        return None, "the path leads out of the folder of images; pass another one with --images"
    return str(root / relative), None
