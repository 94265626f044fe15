"""Reads the chest radiographs of any folder of DICOM files as images without annotations."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import dicom, radiograph
from imaxray._common.files import sha256
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.paths import relative, require_root
from imaxray.sources._shared.images.image_files import list_files, map_parts
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_MODALITIES: Final = ("CR", "DX", "RG", "XR")
_CHEST: Final = re.compile(r"CHEST|THORA|TORAX|LUNG|PULM")
_FOLDER: Final = "."

_Seen = tuple[str, dicom.Header | None, tuple[str, str] | None]  # sha256, header, code and message


class DicomFolder(Source):
    """Reads the chest radiographs of a folder, to join with annotations or to annotate by a model.

    A row is a file; rows are numbered in the order of the files' paths. A file is taken for DICOM
    if it has the DICOM preamble or ends in .dcm or .dicom. All other files are rejects
    (``not-dicom``). Files without an image, with several frames, in colour, of a modality other
    than CR, DX, RG or XR, or with a stated body part other than the chest are rejects too.

    Ids are the tags SOPInstanceUID, StudyInstanceUID and PatientID without any change, so the files
    must be de-identified before. If a file has no PatientID, its study counts as the patient; if it
    has no StudyInstanceUID either, the image counts as the patient. View, sex and age come from the
    tags; a view that is not stated stays unknown. :func:`imaxray.dicom.read_grey` says how pixels
    become grey values.
    """

    name = "dicom-folder"
    title = "A folder of DICOM radiographs"
    version = "DICOM PS3"
    collection = "dicom"
    tasks = ()
    access = "open"
    licence = "yours: the terms under which you hold the files"
    citation = "DICOM PS3, NEMA"
    url = "https://www.dicomstandard.org/current"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        require_root(root, self.name)
        dicom.require_dicom()
        if not any(dicom.is_dicom(path) for path in list_files(root, [""])):
            raise ImaxrayError(
                f"Expected DICOM files in {root} for {self.name}, but found none that has the "
                f"DICM preamble or ends in {' or '.join(dicom.SUFFIXES)}; correct the path."
            )
        return [_FOLDER]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release and its files in ``pool`` (see :meth:`Source.read_with`)."""
        self.check(root)
        names = [relative(path, root) for path in list_files(root, [""])]
        seen = map_parts(_look, str(root), names, pool)
        digest = hashlib.sha256()
        images: list[tuple[Any, ...]] = []
        rejects: list[tuple[Any, ...]] = []
        for row, (name, (sha, header, fault)) in enumerate(zip(names, seen, strict=True), start=1):
            digest.update(f"{name}\0{sha}\n".encode())
            if header is None or fault is not None:
                code, message = fault or ("unreadable-image", "the file is damaged")
                rejects.append((self.name, _FOLDER, row, name, code, message))
                continue
            ids = (header.instance, header.patient or header.study or header.instance)
            study = f"{self.collection}/{header.study}" if header.study else None
            images.append((
                *(f"{self.collection}/{value}" for value in ids), study, name, header.width,
                header.height, header.view, header.sex, header.age, row,
            ))  # fmt: skip
        columns = ("image_id", "patient_id", "study_id", "path", "width", "height", "view", "sex",
                   "age", "row")  # fmt: skip
        schema = {column: IMAGES[column] for column in columns}
        frame = pl.DataFrame(images, schema=schema, orient="row").with_columns(
            pl.lit(self.name).alias("source"), pl.lit(_FOLDER).alias("file")
        )
        return SourceTables(
            images=conform(frame, IMAGES),
            rejects=pl.DataFrame(rejects, schema=REJECTS, orient="row"),
            files=(ReleaseFile(self.name, _FOLDER, len(names), digest.hexdigest()),),
        )


def _look(root: str, names: Sequence[str]) -> list[_Seen]:
    return [_one(Path(root) / name) for name in names]


def _one(path: Path) -> _Seen:
    try:
        digest = sha256(path)
    except OSError:  # a broken link, or no permission to read
        return "", None, ("unreadable-image", "the file cannot be opened")
    if not dicom.is_dicom(path):
        return digest, None, ("not-dicom", "the file is no DICOM")
    try:
        header = dicom.read_header(path)
    except ImaxrayError:
        return digest, None, ("unreadable-image", "the file is damaged")
    return digest, header, _fault(header)


def _fault(header: dicom.Header) -> tuple[str, str] | None:
    fault = dicom.problem(header, radiograph.MAX_PIXELS)
    if not header.pixels:
        return fault
    if header.modality not in _MODALITIES:
        return "other-modality", f"Modality is none of {', '.join(_MODALITIES)}"
    if header.body_part and not _CHEST.search(header.body_part):
        return "not-chest", "BodyPartExamined is not the chest"
    if fault is None and not header.instance:
        return "bad-id", "the file has no SOPInstanceUID"
    return fault
