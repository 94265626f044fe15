"""Reads JSRT: 154 radiographs with a lung nodule of known place and size, and 93 without one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, conform
from imaxray.sources._checks.persons import OLDEST
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import read_lines
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_PLACES: Final = ("", "Clinical_Information/", "Clinical_Information/Clinical_Information/")
_TABLES: Final = {
    name: tuple(f"{place}{name}{suffix}" for place in _PLACES for suffix in (".txt", ".TXT"))
    for name in ("CLNDAT_EN", "CNNDAT_EN")
}
_FIELDS: Final = {"CLNDAT_EN": 7, "CNNDAT_EN": 3}  # least number of fields a record must have
_FOLDERS: Final = (
    "", "All247images", "All247images/All247images", "Nodule154images", "NonNodule93images",
    "images", "png", "jsrt/png",
)  # fmt: skip
_SUFFIXES: Final = (".IMG", ".img", ".png", ".PNG", ".jpg", ".JPG")
_NAME: Final = re.compile(r"(JPC([LN])N[0-9]{3})\.IMG", re.IGNORECASE)
_RECORD: Final = re.compile(rb"[\r\n]+|(?<=[^\r\n])(?=JPC[LN]N[0-9]{3}\.IMG)", re.IGNORECASE)
"""A record ends with its line, but some copies have two records on one line."""

_MM_PER_PIXEL: Final = 0.175
_FRAME: Final = 2048.0
"""Positions are given in pixels of the published 2048 x 2048 images."""
_LARGEST: Final = 150.0  # mm; no nodule is larger, so a larger number is a typing error


class Jsrt(Source):
    """Reads the published ``.IMG`` files, or PNG or JPEG conversions of any size.

    CT confirmed whether an image has a nodule, so an image of the non-nodule set is negative. The
    box of a nodule is a square with the stated size around the stated position, at 0.175 mm per
    pixel; it is scaled to the size of a converted image. Each image counts as a patient. The tables
    have no header; the order of their columns follows public code that reads them, because the
    user's guide describes it wrongly.
    """

    name = "jsrt"
    title = "JSRT digital image database"
    version = "1998"
    collection = "jsrt"
    tasks = ("findings", "rec", "reg")
    access = "registration"
    licence = "free for research and education after registration; cite, do not redistribute"
    citation = "Shiraishi et al., AJR 174:71-74 (2000)"
    url = "https://db.jsrt.or.jp/eng.php"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        paths = self._paths(root)
        for name, path in paths.items():
            first = next(filter(None, _records(path)), [""])
            match = _NAME.fullmatch(first[0])
            if match is None or match.group(2).upper() != name[1] or len(first) < _FIELDS[name]:
                raise ImaxrayError(
                    f"Expected records that start with JPC{name[1]}N001.IMG and at least "
                    f"{_FIELDS[name] - 1} more fields in {path}, but the first record is "
                    "different; check that it is the file of the stated release."
                )
        if not any(_folders(root)):
            raise ImaxrayError(
                f"Expected .IMG, .png or .jpg files named JPCLN001 and so on in the {self.name} "
                f"release at {root} or its All247images, but found none; unpack the images there."
            )
        return [relative(path, root) for path in paths.values()]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        images: list[tuple[Any, ...]] = []
        facts: list[tuple[Any, ...]] = []
        rejects: list[tuple[Any, ...]] = []
        files: list[ReleaseFile] = []
        for table, path in self._paths(root).items():
            records = _records(path)
            file = relative(path, root)
            files.append(release_file(path, root, self.name, len(records)))
            for row, record in enumerate(records, start=1):
                if not record:  # `read_lines` noted that it cannot be read
                    continue
                where = (self.name, file, row)
                match = _NAME.fullmatch(record[0])
                if match is None or match.group(2).upper() != table[1]:
                    what = f"the record does not start with JPC{table[1]}N and a number"
                    rejects.append((*where, record[0], "bad-id", what))
                    continue
                key = match.group(1).upper()
                found = _find(root, key)
                if isinstance(found, str):
                    rejects.append((*where, key, found, _MISSING[found]))
                    continue
                image, (_, width, height) = f"{self.collection}/{key}", found
                nodule = table == "CLNDAT_EN"
                age, sex = (*(record[3:5] if nodule else record[1:3]), "", "")[:2]
                if age.strip("?- ") and _age(age) is None:
                    what = f"the age must be 0 to {OLDEST} years"
                    rejects.append((*where, key, "unknown-age", what))
                images.append(
                    (image, image, *found, "PA", sex.strip("?- ") or None, _age(age), *where)
                )
                label = ("label", "Nodule", float(nodule), None, None)
                facts.append((image, *label, *where))
                if not nodule:
                    continue
                box = _box(record, width, height)
                if isinstance(box, str):
                    rejects.append((*where, key, "bad-value", box))
                else:
                    region = ("region", "Nodule", None, "nodule", [box])
                    facts.append((image, *region, *where))
        source = ("source", "file", "row")
        image_columns = ("image_id", "patient_id", "path", "width", "height", "view", "sex", "age")
        fact_columns = ("image_id", "kind", "name", "value", "text", "boxes")
        annotations = _frame(facts, (*fact_columns, *source), SOURCE_ANNOTATIONS).with_columns(
            pl.lit("human").alias("origin"), pl.lit("ct-confirmed").alias("quality")
        )
        return SourceTables(
            images=_frame(images, (*image_columns, *source), IMAGES),
            annotations=conform(annotations, SOURCE_ANNOTATIONS),
            rejects=pl.DataFrame(rejects, schema=REJECTS, orient="row"),
            files=tuple(files),
        )

    def _paths(self, root: Path) -> dict[str, Path]:
        return {name: find_file(root, paths, self.name) for name, paths in _TABLES.items()}


_MISSING: Final = {
    "missing-image": "the image is not in this copy",
    "unreadable-image": "the image file is damaged",
}


def _records(path: Path) -> list[list[str]]:
    """Return the fields of every record, split at tabs or, if it has no tab, at white space.

    A record that is no text has no field.
    """
    return [
        []
        if line is None
        else [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
        for line in read_lines(path, _RECORD)
    ]


def _folders(root: Path) -> list[Path]:
    """Return the folders that hold images."""
    return [
        root / folder
        for folder in _FOLDERS
        if any((root / folder).glob("[Jj][Pp][Cc][LlNn][Nn][0-9]*.[IiJjPp][MmNnPp][Gg]"))
    ]


def _find(root: Path, key: str) -> tuple[str, int, int] | str:
    """Return path inside the release, width and height of an image, or a reject code."""
    for folder in _FOLDERS:
        for suffix in _SUFFIXES:
            path = root / folder / f"{key}{suffix}"
            if path.is_file():
                try:
                    return relative(path, root), *radiograph.size(path)
                except ImaxrayError:
                    return "unreadable-image"
    return "missing-image"


def _box(record: list[str], width: int, height: int) -> list[float] | str:
    """Return the corners of a nodule in pixels of the image, or the message of a reject.

    The corners follow from the stated size (mm) and position.
    """
    size, x, y = (_number(record[k]) if k < len(record) else None for k in (2, 5, 6))
    if size is None or x is None or y is None:
        return "size, x and y must be numbers"
    if not 0 < size <= _LARGEST:
        return f"the size must lie between 0 and {_LARGEST:.0f} mm"
    if not (0 <= x <= _FRAME and 0 <= y <= _FRAME):
        return "x and y must lie in the 2048 x 2048 frame"
    half = size / _MM_PER_PIXEL / 2
    across, down = width / _FRAME, height / _FRAME
    return [(x - half) * across, (y - half) * down, (x + half) * across, (y + half) * down]


def _number(text: str) -> float | None:
    """Parse a plain decimal number; return None for anything else, also for NaN and infinity."""
    return float(text) if re.fullmatch(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", text) else None


def _age(text: str) -> int | None:
    years = _number(text)
    return int(years) if years is not None and 0 <= years <= OLDEST else None


def _frame(
    rows: list[tuple[Any, ...]], columns: tuple[str, ...], schema: pl.Schema
) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={c: schema[c] for c in columns}, orient="row"), schema)
