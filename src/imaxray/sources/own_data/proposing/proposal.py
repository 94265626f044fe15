"""Proposes a `source.yaml` for your own tables, and says what it understood and what it did not."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Named
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from imaxray import radiograph
from imaxray._common.config import validated
from imaxray.errors import ImaxrayError
from imaxray.schema import SPLITS
from imaxray.sources._checks.persons import SEXES, VIEWS
from imaxray.sources._checks.reading import reading
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.image_index import ImageIndex
from imaxray.sources.own_data.mapping import BoxForm, Mapping, Table
from imaxray.sources.own_data.proposing.answers import (
    NONE,
    Answers,
    is_answered,
    known_columns,
    meaning_of,
)
from imaxray.sources.own_data.proposing.column_look import may_identify
from imaxray.sources.own_data.proposing.file_look import classes_of, encoding_of, separator_of
from imaxray.sources.own_data.proposing.table_look import TableLook
from imaxray.sources.own_data.reading import form_of, read_table
from imaxray.sources.own_data.vocabulary import GRADES

_HALF: Final = 0.5
_SIZES: Final = 300  # images whose size is looked at


@dataclass
class Proposal:
    """Holds a proposed mapping and what was said about it.

    Attributes:
        mapping: What `source.yaml` will say; its open questions are `mapping.questions`.
        understood: Rows of table, column and what the column is taken for.
        notes: Rows of table, column or spelling, and why it is not used.
        encoding: Sentence about the encoding, or an empty text.
    """

    mapping: Mapping
    understood: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    encoding: str = ""

    def text(self) -> str:
        """Return the text of `source.yaml`, with the notes as comments."""
        content = self.mapping.model_dump(mode="json", exclude_defaults=True)
        lines = [
            "# Says what the columns of your tables mean; docs/own-data.md explains every key.",
            "#",
            "# Not used:" if self.notes else "# Every column is used.",
            *(f"#   {table}, {what}: {why}".replace("\n", " ") for table, what, why in self.notes),
        ]
        if self.encoding:
            lines += ["#", f"# {self.encoding}"]
        body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        return "\n".join(lines) + "\n" + body


def propose_mapping(
    name: str,
    tables: Sequence[Path],
    images: Path,
    *,
    out: Path,
    columns: Named[str, str] | None = None,
    means: Sequence[tuple[str, str]] = (),
    dates: str | None = None,
    boxes: BoxForm | None = None,
) -> Proposal:
    """Look at tables and images, and propose what the columns mean.

    Args:
        name: Name of the release.
        tables: Tables, or folders of reports, masks, boxes or DICOM files.
        images: Folder of the images.
        out: Folder that `source.yaml` will be in.
        columns: Answers: field or label → column, or ``none``.
        means: Answers: spelling of a cell, or field, colon and spelling, and what it means.
        dates: Answer: form of dates, such as ``%d.%m.%Y``.
        boxes: Answer: form of boxes.

    Raises:
        ImaxrayError: If a table or the folder is missing or cannot be read, or if an answer is
            none.
    """
    for path, what in [*((t, "a table or a folder") for t in tables), (images, "the images")]:
        if not path.exists():
            raise ImaxrayError(f"Expected {what} at {path}, but there is none; correct the path.")
    inner = [images, *(t if t.is_dir() else t.parent for t in tables)]
    root = Path(os.path.commonpath([path.resolve() for path in inner]))
    index = ImageIndex.of(root, _below(images, root))
    answers = Answers(known_columns(columns or {}), dates, boxes)
    paths = list(tables)
    if _has_dicom(index) and not any(_is_dicom_table(path) for path in tables):
        paths.append(images)
    encoding, said = encoding_of([path for path in paths if path.is_file()])
    proposal = _Proposing(name, root, index, answers, encoding)
    for path in paths:
        proposal.add(path)
    return proposal.done(
        images=_below(images, root), folder=out.resolve(), means=list(means), encoding=said
    )


class _Proposing:
    """Collects the tables of a proposal."""

    def __init__(
        self, name: str, root: Path, index: ImageIndex, answers: Answers, encoding: str
    ) -> None:
        self._name, self._root, self._index = name, root, index
        self._answers, self._encoding = answers, encoding
        self._sizes = _image_sizes(root, index)
        self._tables: list[dict[str, Any]] = []
        self._looks: list[TableLook] = []
        self._files: list[str] = []

    def add(self, path: Path) -> None:
        """Look at a table."""
        form = form_of(path)
        table: dict[str, Any] = {"file": _below(path, self._root), "format": form}
        if table["file"] in self._files:
            raise ImaxrayError(
                f"Expected each table once, but {path} is named twice; leave one out."
            )
        with reading(self._encoding):
            if form == "csv":
                table["separator"] = separator_of(path)
            if form == "yolo":
                table["classes"] = classes_of(path)
            frame = read_table(self._root, Table.model_validate(table)).frame
        look = TableLook(frame, self._index, self._answers, form=form, sizes=self._sizes)
        if form == "yolo" and not table["classes"]:
            look.said.questions["classes", table["file"]] = (
                f"classes: no classes.txt or data.yaml beside {path} names the classes; write "
                "their names, from number 0 on, under classes of the table."
            )
        table |= look.options
        self._tables.append(table)
        self._looks.append(look)
        self._files.append(table["file"])

    def done(
        self, *, images: str, folder: Path, means: list[tuple[str, str]], encoding: str
    ) -> Proposal:
        """Join the tables, take the answers, and return the proposal."""
        self._order()
        self._joins()
        self._patients()
        vocabulary: dict[str, str | None] = {}
        for look in self._looks:
            vocabulary |= look.said.vocabulary
        questions = {key: text for look in self._looks for key, text in look.said.questions.items()}
        for spelling, meaning in means:
            self._take(spelling, meaning, vocabulary, questions)
        for key in [*questions]:
            if is_answered(key, self._answers):
                del questions[key]
        for table, look in zip(self._tables, self._looks, strict=True):
            said = look.said
            table |= {
                "columns": said.columns, "labels": said.labels, "values": said.values,
                "label_values": said.label_values,
            }  # fmt: skip
        content = {
            "name": self._name,
            "root": Path(os.path.relpath(self._root, folder)).as_posix(),
            "images": images,
            "encoding": self._encoding,
            "tables": [
                {key: value for key, value in table.items() if value not in ({}, ())}
                for table in self._tables
            ],
            "vocabulary": vocabulary,
            "questions": list(questions.values()),
        }  # fmt: skip
        mapping = validated(Mapping, content, see="docs/own-data.md")
        proposal = Proposal(mapping, encoding=encoding)
        for table, look in zip(self._tables, self._looks, strict=True):
            file = table["file"]
            proposal.understood += [(file, col, known) for known, col in look.said.columns.items()]
            proposal.understood += [
                (file, col, f"label {k}") for k, col in look.said.labels.items()
            ]
            proposal.understood += [
                (file, column, f"key, joined with {other}")
                for column, other in table.get("join", {}).items()
            ]
            joined = table.get("join", {})
            proposal.notes += [
                (file, what, why) for what, why in look.said.notes.items() if what not in joined
            ]
        return proposal

    def _order(self) -> None:
        """Put a table of images first, as the others are joined with it."""
        first = next(
            (k for k, k_look in enumerate(self._looks) if "image" in k_look.said.columns), None
        )
        if first is None:
            names = ", ".join(list(self._looks[0].columns)[:12])
            raise ImaxrayError(
                f"Expected a column that names the image files, but no column of "
                f"{self._files[0]} does ({names}); name another folder by --images, or the column "
                "by --column image=COLUMN."
            )
        self._tables.insert(0, self._tables.pop(first))
        self._looks.insert(0, self._looks.pop(first))
        self._files.insert(0, self._files.pop(first))

    def _joins(self) -> None:
        """Find the key by which a table without images belongs to the tables before it."""
        for k, look in enumerate(self._looks):
            if "image" in look.said.columns:
                continue
            best: tuple[int, float, int, str, str] | None = None
            for name, column in look.columns.items():
                if not may_identify(column):
                    continue
                cells = set(column.cells)
                for before, other in self._known_keys(k):
                    share = len(cells & before) / max(1, len(cells))
                    ours = next((f for f, c in look.said.columns.items() if c == name), None)
                    same = int(other in (name, ours))
                    key = (same, share, len(before), name, other)
                    if share >= _HALF and (best is None or key[:3] > best[:3]):
                        best = key
            if best is None:
                raise ImaxrayError(
                    f"Expected a column of {self._files[k]} whose cells stand in "
                    f"{self._files[0]} too, so that the tables can be joined, but there is none; "
                    "add a column of images, patients or studies."
                )
            _, _, _, name, other = best
            self._tables[k]["join"] = {name: other}
            look.said.columns = {f: c for f, c in look.said.columns.items() if c != name}

    def _known_keys(self, last: int) -> list[tuple[set[str], str]]:
        """Return cells, and the field or column that they stand in, of the tables before."""
        keys: list[tuple[set[str], str]] = []
        for look in self._looks[:last]:
            fields = {
                c: f for f, c in look.said.columns.items() if f in ("patient", "study", "image")
            }
            for name, column in look.columns.items():
                if fields.get(name) != "image" and may_identify(column):
                    keys.append((set(column.cells), fields.get(name, name)))
        names = {path.rsplit("/", 1)[-1] for path in self._index.paths}
        keys.append((names | {name.rsplit(".", 1)[0] for name in names}, "image"))
        return keys

    def _patients(self) -> None:
        have = [look for look in self._looks if "patient" in look.said.columns]
        joined = [t for t in self._tables if "patient" in t.get("join", {}).values()]
        if not have and not joined and "patient" not in self._answers.columns:
            self._looks[0].said.questions["columns.patient", ""] = (
                "columns.patient: no column names the patient, so images of one person could be in "
                "train and in test. Answer with --column patient=COLUMN, or --column patient=none "
                "if each image is of another person."
            )

    def _take(
        self,
        spelling: str,
        meaning: str,
        vocabulary: dict[str, str | None],
        questions: dict[tuple[str, str], str],
    ) -> None:
        """Take an answer, and remove the questions that it answers."""
        known, colon, cell = spelling.partition(":")
        if colon and known in FIELDS:
            self._take_value(known, cell, meaning, questions)
            return
        kinds = {key for key, word in questions if word == spelling}
        key, ours = meaning_of(spelling, meaning, kinds)
        questions.pop((key, spelling), None)
        if key == "vocabulary":
            vocabulary[spelling] = ours
            return
        for look in self._looks:
            if key == "label_values":
                if look.said.labels:
                    look.said.label_values[spelling] = ours or "unknown"
                continue
            known = key.removeprefix("values.")
            if known in look.said.columns:
                look.said.values.setdefault(known, {})[spelling] = ours
                look.said.notes.pop(f"{look.said.columns[known]}: {spelling}", None)

    def _take_value(
        self, known: str, cell: str, meaning: str, questions: dict[tuple[str, str], str]
    ) -> None:
        """Take what a cell of one field means; ``none`` says that it states nothing."""
        looks = [look for look in self._looks if known in look.said.columns]
        if not looks:
            raise ImaxrayError(
                f"Expected a column of {known} for --means {known}:{cell}={meaning}, but none of "
                f"the tables has one; name it by --column {known}=COLUMN."
            )
        spelled: dict[str, Collection[str]] = {
            "view": VIEWS, "sex": SEXES, "split": SPLITS, "edema": GRADES,
        }  # fmt: skip
        allowed = spelled.get(known)
        ours = meaning.upper() if known in ("view", "sex") else meaning
        if allowed is not None and meaning != NONE and ours not in allowed:
            raise ImaxrayError(
                f"Expected a known {known} in --means {known}:{cell}={meaning}; known are "
                f"{', '.join(allowed)} and {NONE}."
            )
        questions.pop((f"values.{known}", cell), None)
        for look in looks:
            values = look.said.values.setdefault(known, {})
            values[cell] = None if meaning == NONE else ours
            look.said.notes.pop(f"{look.said.columns[known]}: {cell}", None)


def _below(path: Path, root: Path) -> str:
    return path.resolve().relative_to(root).as_posix()


def _has_dicom(index: ImageIndex) -> bool:
    endings = (".dcm", ".dicom")
    return any(p.lower().endswith(endings) or "." not in Path(p).name for p in index.paths)


def _is_dicom_table(path: Path) -> bool:
    return path.is_dir() and form_of(path) == "dicom"


def _image_sizes(root: Path, index: ImageIndex) -> dict[str, tuple[int, int]]:
    sizes = {}
    step = max(1, len(index.paths) // _SIZES)
    for path in index.paths[::step]:
        try:
            sizes[path] = radiograph.size(root / path)
        except ImaxrayError:
            continue
    return sizes
