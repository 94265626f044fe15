"""Defines `source.yaml`, which says what the columns of your own tables mean."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from imaxray._common.config import read_yaml, validated
from imaxray._common.names import nearest
from imaxray.errors import ImaxrayError
from imaxray.schema import FINDINGS
from imaxray.sources._checks.reading import DEFAULT_ENCODING, known_encoding
from imaxray.sources._shared.files.paths import is_inside
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.vocabulary import plain

MAPPING_FILE: Final = "source.yaml"
"""Name of the file; datasets also list the mapping under this name among their release files."""

Form = Literal[
    "csv", "excel", "parquet", "jsonl", "coco", "voc", "yolo", "masks", "reports", "dicom"
]
BoxForm = Literal["xyxy", "xywh", "cxcywh"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _field(name: str) -> str:
    if name not in FIELDS:
        near = nearest(name, FIELDS)
        hint = f"did you mean {near}?" if near else f"the fields are {', '.join(FIELDS)}"
        raise ValueError(f"{name} is no field; {hint}")
    return name


def _label(name: str) -> str:
    if name not in FINDINGS:
        near = nearest(name, FINDINGS)
        hint = f"did you mean {near}?" if near else f"the labels are {', '.join(FINDINGS)}"
        raise ValueError(f"{name} is no label; {hint}")
    return name


def _inner(path: str) -> str:
    if not is_inside(path):
        raise ValueError(f"the path {path} leaves the root; set root to a folder above it")
    return path


def _as_text(value: Any) -> Any:
    """Return what YAML took for true, false or a number as the text that was written."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, (int, float)) else value


def _texts(content: Any) -> Any:
    if not isinstance(content, dict):
        return _as_text(content)
    return {_as_text(key): _texts(value) for key, value in content.items()}


FieldName = Annotated[str, AfterValidator(_field)]
LabelName = Annotated[str, AfterValidator(_label)]
InnerPath = Annotated[str, AfterValidator(_inner)]


class Table(BaseModel):
    """Says what one table, or one folder of files, states."""

    model_config = _STRICT

    file: InnerPath = Field(description="Table or folder, relative to `root`.")
    format: Form = Field(description="Form of the file or folder.")
    separator: str = Field(
        default=",", min_length=1, max_length=1, description="Character between two cells of a CSV."
    )
    columns: dict[FieldName, str] = Field(
        default_factory=dict, description="Field → column that holds it."
    )
    labels: dict[LabelName, str] = Field(
        default_factory=dict, description="Label → column with yes, no or uncertain."
    )
    join: dict[str, str] = Field(
        default_factory=dict,
        description="For a table without images: its column → the same column, or field, of "
        "the tables before.",
    )
    dates: str | None = Field(
        default=None,
        description="Form of `date`, as strftime writes it, such as `%d.%m.%Y`; needed for a "
        "column of dates.",
    )
    decimal: Literal[".", ","] = Field(
        default=".", description="Decimal mark of numbers: point or comma."
    )
    sheet: str | None = Field(
        default=None, description="Sheet of an Excel file; default: the first."
    )
    separator_of_findings: str = Field(
        default="|", min_length=1, description="Text between two items of `findings`."
    )
    box_form: BoxForm = Field(
        default="xyxy",
        description="Numbers of `box`: corners, corner and size, or centre and size.",
    )
    box_unit: Literal["pixels", "fraction"] = Field(
        default="pixels", description="Unit of boxes: pixels, or fractions of width and height."
    )
    runs: Literal["rows", "columns"] = Field(
        default="rows",
        description="Order in which run lengths of `mask` count pixels: row by row, or column by "
        "column.",
    )
    percent: tuple[Literal["ctr", "cpar"], ...] = Field(
        default=(), description="Ratios that the table states in percent without a sign."
    )
    classes: tuple[str, ...] = Field(
        default=(), description="Names of the classes of YOLO files or of masks, from number 0 on."
    )
    values: dict[FieldName, dict[str, str | None]] = Field(
        default_factory=dict,
        description="Field → spelling of a cell → spelling that is known; null: nothing is stated.",
    )
    label_values: dict[str, Literal["yes", "no", "uncertain", "unknown"]] = Field(
        default_factory=dict,
        description='Further spellings of the values of labels; `""` is a blank cell, which is '
        "unknown by default.",
    )
    unlisted: Literal["unknown", "no"] = Field(
        default="unknown",
        description="What a list in `findings` says of the labels of `vocabulary` that it does not "
        "name.",
    )
    origin: Literal["human", "silver"] = Field(
        default="human", description="Who stated the facts: a person, or a program (silver)."
    )
    quality: str = Field(
        default="own", min_length=1, description="Name of the grade of these facts, your choice."
    )

    @field_validator(
        "values", "label_values", "unlisted", "columns", "labels", "join", mode="before"
    )
    @classmethod
    def _written(cls, content: Any) -> Any:
        return _texts(content)

    @field_validator("dates")
    @classmethod
    def _states_a_day(cls, form: str | None) -> str | None:
        if form is None:
            return None
        if not all(part in form for part in ("%d", "%m")) or not ("%Y" in form or "%y" in form):
            raise ValueError("a form of dates needs %d, %m and %Y")
        return form

    @model_validator(mode="after")
    def _date_has_form(self) -> Table:
        if "date" in self.columns and self.dates is None:
            raise ValueError(
                f"the table {self.file} has the column of dates {self.columns['date']}; say by "
                'dates how they are written, such as dates: "%d.%m.%Y"'
            )
        return self


class Mapping(BaseModel):
    """Says how your own tables and images become a release."""

    model_config = _STRICT

    name: str = Field(description="Name of the release; it is the prefix of all ids.")
    title: str = Field(default="", description="Title for people; default: the name.")
    root: str = Field(
        default=".", description="Folder that holds tables and images, relative to this file."
    )
    images: InnerPath = Field(default=".", description="Folder of the images, relative to `root`.")
    encoding: Annotated[str, AfterValidator(known_encoding)] = Field(
        default=DEFAULT_ENCODING, description="Encoding of the texts."
    )
    tables: tuple[Table, ...] = Field(min_length=1, description="Tables, the one of images first.")
    vocabulary: dict[str, LabelName | None] = Field(
        default_factory=dict,
        description="Spelling of a finding → label; null: a finding that is none of the labels.",
    )
    questions: tuple[str, ...] = Field(
        default=(),
        description="What must be answered before the release is read; remove a line after you "
        "answered it.",
    )

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a name has small letters, digits and hyphens, such as my-hospital")
        return name

    @model_validator(mode="after")
    def _linked(self) -> Mapping:
        files = [table.file for table in self.tables]
        twice = next((file for file in files if files.count(file) > 1), None)
        if twice is not None:
            raise ValueError(f"the table {twice} stands there twice")
        for k, table in enumerate(self.tables):
            if "image" not in table.columns and (k == 0 or not table.join):
                raise ValueError(
                    f"the table {table.file} has no column of images; name it under columns.image"
                    + (", or say by join how its rows belong to images" if k else "")
                )
        return self

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _written(cls, content: Any) -> Any:
        return _texts(content)

    @field_validator("vocabulary")
    @classmethod
    def _one_meaning(cls, words: dict[str, str | None]) -> dict[str, str | None]:
        meant: dict[str, str | None] = {}
        for word, label in words.items():
            if meant.setdefault(plain(word), label) != label:
                raise ValueError(f"the spelling {word} stands there with two meanings")
        return words

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the tables, which the folder on this machine does not.

        Example:
            >>> table = {"file": "a.csv", "format": "csv", "columns": {"image": "png"}}
            >>> here, there = (Mapping(name="x", root=r, tables=[table]) for r in ("a", "b"))
            >>> here.digest == there.digest
            True
        """
        content = self.model_dump(mode="json", exclude={"root", "title", "questions"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def mapping_file(path: Path) -> Path | None:
    """Return the `source.yaml` that a path stands for: the file itself, or the one in a folder.

    Example:
        >>> mapping_file(Path("hospital.yaml")).name, mapping_file(Path("no-such-folder"))
        ('hospital.yaml', None)
    """
    if path.suffix in (".yaml", ".yml"):
        return path
    inner = path / MAPPING_FILE
    return inner if inner.is_file() else None


def read_mapping(path: Path) -> Mapping:
    """Read a `source.yaml`.

    Raises:
        ImaxrayError: If the file is missing, is no YAML, or has an unknown key or a bad value.
    """
    content = read_yaml(
        path,
        what="a source.yaml",
        advice="write one with `imaxray sources new`, or correct the path",
    )
    return validated(Mapping, content, where=str(path), see="docs/own-data.md")


def root_of(path: Path, mapping: Mapping) -> Path:
    """Return the folder of the tables and images of a `source.yaml`.

    Raises:
        ImaxrayError: If it is no folder.
    """
    root = Path(os.path.normpath(path.parent / mapping.root))
    if not root.is_dir():
        raise ImaxrayError(
            f"Expected the folder of the tables and images at {root}, but it is not there; correct "
            f"root in {path}."
        )
    return root


def watched_paths(path: Path) -> list[Path]:
    """Return all files and folders that a `source.yaml` reads, itself included."""
    mapping = read_mapping(path)
    root = root_of(path, mapping)
    return [path, root / mapping.images, *(root / table.file for table in mapping.tables)]
