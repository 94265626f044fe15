"""Reads the table of a release that says which patient each image shows.

Paths of PadChest, for instance, name no patient, but the table of the release does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.files import read_parquet
from imaxray.errors import ImaxrayError
from imaxray.sources import read_csv, read_header

_IMAGE: Final = frozenset({
    "image", "imageid", "imageindex", "imagename", "imagepath", "path", "file", "filename",
    "filepath", "dicomid", "sopinstanceuid",
})  # fmt: skip
_PATIENT: Final = frozenset({"patient", "patientid", "subject", "subjectid"})
_ENDINGS: Final = re.compile(r"(?:\.(?:png|jpe?g|dcm|dicom|tiff?|bmp))+$", re.IGNORECASE)


class PatientTable:
    """Says which patient an image shows, by the name of its file.

    Args:
        path: Path of a CSV table (also .gz, .zip or .tsv) or Parquet table with a column of images,
            which are names or paths with or without ending, and a column of patients.

    Raises:
        ImaxrayError: The table cannot be read, or has not one such column each.
    """

    def __init__(self, path: Path) -> None:
        self._patients: dict[str, list[tuple[list[str], str]]] = {}
        for image, patient in _rows(path):
            parts = _parts(image)
            self._patients.setdefault(parts[-1], []).append((parts, patient))

    def patient_of(self, path: str) -> str | None:
        """Return the patient of an image; ``None`` if the table does not name exactly one.

        If files in several folders have one name, as ``view1_frontal.jpg``, the folders count too.
        """
        parts = _parts(path)
        found = {
            patient
            for known, patient in self._patients.get(parts[-1], [])
            if all(a == b for a, b in zip(reversed(known), reversed(parts), strict=False))
        }
        return found.pop() if len(found) == 1 else None


def _parts(path: str) -> list[str]:
    plain = path.strip().replace("\\", "/").removeprefix("./")
    return _ENDINGS.sub("", plain).split("/")


def _rows(path: Path) -> list[tuple[str, str]]:
    """Return image and patient of all rows that name both."""
    if not path.is_file():
        raise ImaxrayError(
            f"Expected a table of patients at {path}, but there is no file; correct --patients."
        )
    if path.suffix.lower() == ".parquet":
        try:
            table = read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ImaxrayError(
                f"Expected a Parquet table of patients at {path}, but it is damaged; write the "
                "file again."
            ) from error
        image, patient = _columns(path, table.columns)
    else:
        separator = "\t" if ".tsv" in path.suffixes else ","
        image, patient = _columns(path, read_header(path, separator=separator))
        table = read_csv(path, [image, patient], separator=separator)
    both = table.select(pl.col(image, patient).cast(pl.String)).drop_nulls()
    return [(name, owner.strip()) for name, owner in both.iter_rows() if name.strip()]


def _columns(path: Path, header: list[str]) -> tuple[str, str]:
    """Return the column of images and that of patients."""
    found = []
    for what, names in (("image", _IMAGE), ("patient", _PATIENT)):
        fitting = [name for name in header if re.sub(r"[\W_]", "", name).lower() in names]
        if len(fitting) != 1:
            got = f"it has {' and '.join(fitting)}" if fitting else "it has none"
            raise ImaxrayError(
                f"Expected one column that names the {what} in {path}, but {got}; name one column "
                f"{what}_id."
            )
        found += fitting
    return found[0], found[1]
