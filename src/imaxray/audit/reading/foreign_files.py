"""Reads files of other projects into an :class:`AuditInput`.

A record has the turns of a conversation (:mod:`imaxray.audit.reading.chat_record`), images, and
perhaps the field ``objects`` of ms-swift; or it is a sample of FiftyOne. Each answer is one entry.
``split``, ``task``, ``source`` and the patient are taken from the fields of these names in the
record or in its ``meta``, if they exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imaxray._common.strict_json import BadItem
from imaxray.audit.audit_input import NO_SPLIT, AuditInput, AuditIssue
from imaxray.audit.reading.chat_record import (
    BadRecordError,
    boxes_of,
    field,
    images_of,
    marks_problem,
    turns_of,
)
from imaxray.audit.reading.fiftyone_samples import Sample, is_sample, read_sample
from imaxray.audit.reading.foreign_rows import ForeignRows, patient_id
from imaxray.audit.reading.patient_table import PatientTable
from imaxray.audit.reading.record_files import (
    SPLITS,
    is_own_export,
    records_of,
    root_of_file,
    source_of_file,
    split_of_file,
)
from imaxray.errors import ImaxrayError

_PATIENT: Final = ("patient_id", "subject_id")
_REFERS: Final = re.compile(
    r"\b(?:it|its|they|them|that|these|those|this(?!\s+(?:\w+\s+)?(?:image|x-?ray|radiograph|film)))\b",
    re.IGNORECASE,
)
"""Words with which a question may refer to the turn before it."""


def read_files(
    paths: Sequence[Path],
    images: Path | None,
    *,
    patient_field: str | None,
    patients: Path | None = None,
    perceptual: bool,
    workers: int,
) -> AuditInput:
    """Read files of other projects.

    Args:
        paths: Paths of JSON, JSONL and Parquet files.
        images: Folder to which image paths are relative; by default the folder of each file.
        patient_field: Field with the patient's id; by default ``patient_id``, ``subject_id``, or
            the patient in the path of an image.
        patients: Table of images and their patients, for images whose record names none.
        perceptual: Whether near duplicates are searched.
        workers: Number of processes that decode images.

    Raises:
        ImaxrayError: A file is missing or of another form, or no record has the patient field.
    """
    table = None if patients is None else PatientTable(patients)
    reader = _Reader(_PATIENT if patient_field is None else (patient_field,), table)
    chosen = sorted(set(paths))
    names = [path.name for path in chosen]
    for path in chosen:
        # files of the same name in several folders need different names
        name = path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        root = images or root_of_file(path)
        # an export of imaxray names images where they lie in their releases
        own = images is None and is_own_export(path)
        file = _File(path, root, own, split_of_file(path), source_of_file(path))
        for number, record in enumerate(records_of(path), start=1):
            reader.add(record, f"{name}:{number}", file)
    if patient_field is not None and reader.records and not reader.named_patients:
        raise ImaxrayError(
            f"Expected the field {patient_field} in the records of {paths[0].name}, but no record "
            "has it; correct --patient-field."
        )
    if table is not None and reader.records and not reader.rows.named_by_table:
        raise ImaxrayError(
            f"Expected {patients} to name patients of the images in {paths[0].name}, but it names "
            "none of these images; pass the table of their release."
        )
    return reader.rows.audit_input(", ".join(names), perceptual=perceptual, workers=workers)


@dataclass(frozen=True)
class _File:
    """What is known of all records of a file.

    Attributes:
        path: Path of the file.
        root: Folder to which image paths are relative.
        own: Whether imaxray wrote the file, so that whole paths of images are followed.
        split: Split that its name states.
        source: Source that its name states.
    """

    path: Path
    root: Path
    own: bool
    split: str | None
    source: str | None


class _Reader:
    """Reads records one by one."""

    def __init__(self, patient_fields: Sequence[str], table: PatientTable | None) -> None:
        self._fields = patient_fields
        self.rows = ForeignRows(table)
        self.records = 0
        self.named_patients = 0

    def add(self, record: Any, where: str, file: _File) -> None:
        """Add one record, or an issue that says why it cannot be read."""
        self.records += 1
        try:
            if isinstance(record, BadItem):
                raise BadRecordError(record.message)
            if not isinstance(record, dict):
                raise BadRecordError("not a JSON object")
            if is_sample(record):
                self._sample(read_sample(record), record, where, file)
            else:
                self._record(record, where, file)
        except BadRecordError as error:
            issue = AuditIssue("bad-record", file.split or NO_SPLIT, where, str(error))
            self.rows.bad.append(issue)

    def _record(self, record: dict[str, Any], where: str, file: _File) -> None:
        turns, images = turns_of(record), images_of(record)
        listed = boxes_of(record, len(images))
        split = SPLITS.get(str(field(record, "split")).lower(), file.split) or NO_SPLIT
        source, patient = self._source(record, file), self._named(record)
        added = [
            self.rows.add_image(image, file.root, file=file.path, own=file.own, patient=patient,
                                source=source, split=split)
            for image in images
        ]  # fmt: skip
        ids = [image for image, _ in added]
        if not ids:
            self.rows.add_patient(where, patient, source, split)
        if (problem := marks_problem(record, len(images))) is not None:
            self.rows.bad.append(AuditIssue("marks", split, where, problem))
        for boxes, unit, place in listed:
            self.rows.boxes.append((split, where, ids[place], boxes, unit))
        owner = patient or next((told for _, told in added if told), None)
        for number, turn in enumerate(turns, start=1):
            name = where if len(turns) == 1 else f"{where}#{number}"
            self.rows.add_entry(
                turn, field(record, "task"), name=name, image=ids[0] if ids else where,
                patient=owner, split=split, source=source,
            )  # fmt: skip
            earlier = turns[number - 2] if number > 1 and _REFERS.search(turn.prompt) else None
            if len(ids) > 1 or earlier is not None:
                self.rows.contexts[name] = repr((ids[1:], earlier))

    def _sample(self, sample: Sample, record: dict[str, Any], where: str, file: _File) -> None:
        split = next((SPLITS[tag] for tag in sample.tags if tag in SPLITS), file.split) or NO_SPLIT
        source, patient = self._source(record, file), self._named(record)
        image, owner = self.rows.add_image(
            sample.image, file.root, file=file.path, own=file.own, patient=patient, source=source,
            split=split,
        )  # fmt: skip
        self.rows.labels += [(image, name, value) for name, value in sample.labels]
        self.rows.boxes += [(split, where, image, [box], True) for box in sample.boxes]
        for number, (task, turn) in enumerate(sample.entries, start=1):
            self.rows.add_entry(
                turn, task, name=f"{where}#{number}", image=image, patient=owner, split=split,
                source=source,
            )  # fmt: skip

    def _source(self, record: dict[str, Any], file: _File) -> str | None:
        stated = field(record, "source")
        return file.source if stated is None else str(stated)

    def _named(self, record: dict[str, Any]) -> str | None:
        for name in self._fields:
            if (patient := patient_id(field(record, name))) is not None:
                self.named_patients += 1
                return patient
        return None
