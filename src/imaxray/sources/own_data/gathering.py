"""Gathers the images, facts, split hints and rejects of the tables of a `source.yaml`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.printing import counted
from imaxray.schema import (
    FRONTAL,
    IMAGES,
    REJECTS,
    SOURCE_ANNOTATIONS,
    SPLIT_HINTS,
    conform,
)
from imaxray.sources._checks.persons import VIEWS, age, odd_persons
from imaxray.sources._shared.images.image_files import look_at_images
from imaxray.sources._shared.records import ReleaseFile, SourceTables
from imaxray.sources.own_data.cells import CellError, day, is_blank
from imaxray.sources.own_data.facts import FactReader, Fault, Row
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.image_index import ImageIndex, plain_path
from imaxray.sources.own_data.mapping import MAPPING_FILE, Mapping, Table
from imaxray.sources.own_data.reading import TableRows, read_table
from imaxray.sources.own_data.vocabulary import SPLIT_NAMES, plain

_ABOUT: Final = ("patient", "study", "view", "sex", "age", "date")
"""Fields that describe an image; of several rows, the first that states one counts."""

_BETWEEN: Final = re.compile(r"[\s_-]+")


@dataclass
class _Image:
    """Collects what rows state about one image."""

    file: str
    row: int
    about: dict[str, str] = field(default_factory=dict)  # field → value
    raw: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # for joins


class Gathering:
    """Collects images, facts, hints and rejects while one release is read."""

    def __init__(
        self, source: str, mapping: Mapping, root: Path, pool: Executor | None = None
    ) -> None:
        self._source, self._root, self._pool = source, root, pool
        self._mapping = mapping
        self._words = {plain(k): v for k, v in self._mapping.vocabulary.items()}
        self._index = ImageIndex.of(root, self._mapping.images)
        self._images: dict[str, _Image] = {}  # by path
        self._sizes: dict[str, dict[str, Any]] = {}  # by path; what the file's header says
        self._facts: list[tuple[Any, ...]] = []
        self._hints: list[tuple[Any, ...]] = []
        self._rejects: list[tuple[Any, ...]] = []
        self._files: list[ReleaseFile] = []

    def tables(self) -> SourceTables:
        """Return everything that the release states."""
        self.read_all()
        images, odd = self._image_frame()
        own = ReleaseFile(self._source, MAPPING_FILE, 0, self._mapping.digest)
        columns = ("image_id", "kind", "name", "value", "text", "boxes", "answers", "reader",
                   "origin", "quality", "source", "file", "row")  # fmt: skip
        return SourceTables(
            images=images,
            annotations=_frame(self._facts, columns, SOURCE_ANNOTATIONS),
            hints=_frame(
                self._hints, ("image_id", "split", "source", "file", "row"), SPLIT_HINTS
            ),
            rejects=pl.concat([pl.DataFrame(self._rejects, schema=REJECTS, orient="row"), *odd]),
            files=(*self._files, own),
        )  # fmt: skip

    def read_all(self) -> None:
        """Read all tables, in the order of `source.yaml`."""
        read = [(table, read_table(self._root, table)) for table in self._mapping.tables]
        found = {
            table.file: [self._named(row, table) for row in rows.frame.iter_rows(named=True)]
            for table, rows in read
            if "image" in table.columns
        }
        self._tell_apart(read, found)
        wanted = {paths[0] for rows in found.values() for paths in rows if len(paths) == 1}
        heads = look_at_images(self._root, sorted(wanted), self._pool)
        self._sizes = {row["path"]: row for row in heads.iter_rows(named=True)}
        for table, rows in read:
            reader = FactReader(table, self._words)
            self._files.append(ReleaseFile(self._source, table.file, rows.count, rows.sha256))
            if "image" in table.columns:
                self._of_images(table, rows, reader, found[table.file])
            else:
                self._joined(table, rows, reader)

    def _named(self, row: Row, table: Table) -> list[str]:
        cell = row.get(table.columns["image"])
        if is_blank(cell) or cell is None:
            return []
        if table.format == "dicom":
            inside = "" if table.file in (".", "") else f"{table.file.rstrip('/')}/"
            cell = inside + cell
        return self._index.find(cell)

    def _tell_apart(
        self, read: list[tuple[Table, TableRows]], found: dict[str, list[list[str]]]
    ) -> None:
        """Name no image by cells of several folders: `a/1.png` and `b/1.png` are two images.

        A copy that holds all images in one folder has one file of the name; nobody can say which.
        """
        cells: dict[str, set[str]] = defaultdict(set)
        foldered: list[tuple[str, int, str]] = []
        for table, rows in read:
            if table.file not in found:
                continue
            for k, row in enumerate(rows.frame.iter_rows(named=True)):
                cell, paths = row.get(table.columns["image"]), found[table.file][k]
                if cell is None or len(paths) != 1:
                    continue
                path = plain_path(cell)
                folder = path.rpartition("/")[0]
                if folder and not f"/{paths[0].lower()}".endswith(f"/{path}"):
                    cells[paths[0]].add(folder)
                    foldered.append((table.file, k, paths[0]))
        for file, k, image in foldered:
            if len(cells[image]) > 1:
                found[file][k] = [image, image]

    def _of_images(
        self, table: Table, rows: TableRows, reader: FactReader, found: list[list[str]]
    ) -> None:
        for row, paths in zip(rows.frame.iter_rows(named=True), found, strict=True):
            number = row["row"]
            cell = row.get(table.columns["image"])
            if is_blank(cell):
                self._reject(table, number, None, "bad-id", "the row names no image")
            elif not paths:
                self._reject(table, number, cell, "missing-image", "the image is not in this copy")
            elif len(paths) > 1:
                what = "several images have this name, in the copy or in the table"
                self._reject(table, number, cell, "ambiguous-image", what)
            elif self._sizes[paths[0]]["code"] is not None:
                head = self._sizes[paths[0]]
                self._reject(table, number, cell, head["code"], head["message"])
            else:
                self._take(table, row, reader, paths)

    def _joined(self, table: Table, rows: TableRows, reader: FactReader) -> None:
        by_key: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for path, image in self._images.items():
            for key in _keys([image.raw.get(name, set()) for name in table.join.values()]):
                by_key[key].append(path)
        for row in rows.frame.iter_rows(named=True):
            number = row["row"]
            cells = [row.get(column) for column in table.join]
            if any(is_blank(cell) for cell in cells):
                self._reject(table, number, None, "bad-id", "the row has no key of the join")
                continue
            paths = by_key.get(tuple(str(cell).strip() for cell in cells), [])
            if len(paths) > 1:
                paths = [path for path in paths if not self._is_lateral(path)]
                if not paths:
                    what = "the row belongs to several images, none of them frontal"
                    self._reject(table, number, str(cells[0]), "no-frontal-image", what)
                    continue
            if not paths:
                what = "no image of the tables before has this key"
                self._reject(table, number, str(cells[0]), "unknown-key", what)
                continue
            self._take(table, row, reader, paths)

    def _is_lateral(self, path: str) -> bool:
        view = self._images[path].about.get("view") or self._sizes[path]["view"]
        ours = VIEWS.get(_BETWEEN.sub(" ", view.upper()).strip()) if view else None
        return ours is not None and ours not in FRONTAL

    def _take(
        self, table: Table, row: dict[str, Any], reader: FactReader, paths: list[str]
    ) -> None:
        """Take what a row states about its images."""
        number, stated = row["row"], self._about(table, row, reader)
        where = (self._source, table.file, number)
        split = self._split(table, row, reader)
        who = reader.cell(row, "reader")
        own: dict[tuple[int, int], list[Any]] = {}
        for path in paths:
            image = self._images.get(path)
            if image is None:
                image = self._images[path] = _Image(table.file, number)
            elif not self._agrees(table, number, path, image, stated):
                continue
            for name, value in stated.items():
                image.about.setdefault(name, value)
            self._remember(table, row, reader, image, path)
            self._hints.append((self._id(path), split, *where))
            size = (self._sizes[path]["width"], self._sizes[path]["height"])
            facts = own.get(size)
            if facts is None:
                facts = own[size] = list(reader.of_row(row, size))
                for fault in facts:
                    if isinstance(fault, Fault):
                        self._reject(table, number, self._id(path), fault.code, fault.message)
            self._facts += [
                (self._id(path), *fact, who, table.origin, table.quality, *where)
                for fact in facts
                if not isinstance(fact, Fault)
            ]

    def _about(self, table: Table, row: Row, reader: FactReader) -> dict[str, str]:
        stated = {name: reader.cell(row, name) for name in _ABOUT}
        text = stated["date"]
        if text is not None:
            try:
                stated["date"] = day(text, table.dates or "").isoformat()
            except CellError:
                stated["date"] = None
                number = row["row"]
                what = f"the date is not written as {table.dates}"
                self._reject(table, number, None, "bad-date", what)  # type: ignore[arg-type]
        return {name: value for name, value in stated.items() if value is not None}

    def _split(self, table: Table, row: dict[str, Any], reader: FactReader) -> str | None:
        text = reader.cell(row, "split")
        if text is None:
            return None
        split = SPLIT_NAMES.get(plain(text))
        if split is None:
            self._reject(
                table, row["row"], None, "unknown-split", "the split is none that is known"
            )
        return split

    def _agrees(
        self, table: Table, number: int, path: str, image: _Image, stated: dict[str, str]
    ) -> bool:
        """Reject a row that states another patient, and note other values that differ."""
        for name, value in stated.items():
            before = image.about.get(name)
            if before is None or before == value:
                continue
            if name == "patient":
                what = "an earlier row names another patient for the image"
                self._reject(table, number, self._id(path), "other-patient", what)
                return False
            what = f"an earlier row states another {name} of the image"
            self._reject(table, number, self._id(path), f"other-{name}", what)
        return True

    def _remember(
        self, table: Table, row: Row, reader: FactReader, image: _Image, path: str
    ) -> None:
        """Keep the cells by which later tables may be joined."""
        wanted = {name for later in self._mapping.tables for name in later.join.values()}
        for name in wanted:
            text = reader.cell(row, name) if name in FIELDS else row.get(name)
            if text is None and name in table.columns.values():
                text = row.get(name)
            if text is not None and not is_blank(text):
                image.raw[name].add(text.strip())
            if name == "image":
                parts = path.split("/")
                stem = parts[-1].rsplit(".", 1)[0]
                image.raw[name] |= {path, parts[-1], stem}

    def _image_frame(self) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        """Return the images, and rejects of ages that cannot be read."""
        has_patients = any("patient" in table.columns for table in self._mapping.tables)
        studies: dict[str, set[str]] = defaultdict(set)
        for image in self._images.values():
            if "study" in image.about:
                studies[image.about["study"]].add(image.about.get("patient", ""))
        shared = any(len(patients) > 1 for patients in studies.values())
        rows: list[tuple[Any, ...]] = []
        for path, image in sorted(self._images.items()):
            about, head = image.about, self._sizes[path]
            patient = about.get("patient")
            if patient is None:
                if has_patients:
                    self._rejects.append(
                        (self._source, image.file, image.row, self._id(path), "bad-id",
                         "no row names the patient of the image")
                    )  # fmt: skip
                    continue
                patient = self._id(path).partition("/")[2]
            study = about.get("study")
            if study is None and "date" in about:
                study = f"{patient} {about['date']}"
            elif study is not None and shared:  # numbers that begin anew for each patient
                study = f"{patient} {study}"
            years = about.get("age")
            if years is None and head["age"] is not None:
                years = str(head["age"])
            rows.append((
                self._id(path), f"{self._source}/{patient}",
                None if study is None else f"{self._source}/{study}",
                path, head["width"], head["height"], about.get("view") or head["view"],
                about.get("sex") or head["sex"], years, self._source, image.file, image.row,
            ))  # fmt: skip
        columns = ("image_id", "patient_id", "study_id", "path", "width", "height", "view", "sex",
                   "age", "source", "file", "row")  # fmt: skip
        schema = {name: pl.String if name == "age" else IMAGES[name] for name in columns}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        odd = [
            rejects
            for (file,), part in frame.group_by(pl.col("file").cast(pl.String), maintain_order=True)
            for rejects in odd_persons(
                part, source=self._source, file=str(file), key="image_id", age="age"
            )
        ]
        return conform(frame.with_columns(age("age")), IMAGES), odd

    def remarks(self) -> list[str]:
        """Return what is odd, in sentences; the tables must have been read."""
        said = []
        unnamed = len(self._index.paths) - len(self._images)
        if unnamed:
            said.append(f"Images in the folder that no row brings into the release: {unnamed:,}.")
        patients = {i.about["patient"] for i in self._images.values() if "patient" in i.about}
        if not patients:
            said.append(
                "No table names patients, so each image counts as a patient; images of one person "
                "may be in train and in test."
            )
        alike: dict[str, set[str]] = defaultdict(set)
        for patient in patients:
            alike["".join(plain(patient).split()).lstrip("0")].add(patient)
        several = sorted(
            sorted(names, key=lambda n: (len(n), n)) for names in alike.values() if len(names) > 1
        )
        if several:
            first, second = several[0][:2]
            said.append(
                "Ids of patients that differ only in case, blanks or leading zeros: "
                f"{counted(len(several), 'group')}, such as {first} and {second}. If they are one "
                f"person, say so (--means 'patient:{first}={second}'), or a person may be in "
                "train and in test."
            )
        return said

    def _id(self, path: str) -> str:
        folder = self._mapping.images
        inside = "" if folder in (".", "") else folder.strip("/").removeprefix("./") + "/"
        return f"{self._source}/{path.removeprefix(inside)}"

    def _reject(self, table: Table, row: int, key: str | None, code: str, message: str) -> None:
        self._rejects.append((self._source, table.file, row, key, code, message))


def _keys(parts: list[set[str]]) -> Iterable[tuple[str, ...]]:
    """Return all combinations of one value of each part."""
    keys: list[tuple[str, ...]] = [()]
    for part in parts:
        keys = [(*key, value) for key in keys for value in sorted(part)]
    return keys


def _frame(
    rows: list[tuple[Any, ...]], columns: tuple[str, ...], schema: pl.Schema
) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={c: schema[c] for c in columns}, orient="row"), schema)
