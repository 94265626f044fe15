"""Reads one of your own tables, of any form, as text columns with numbered rows."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import read_excel, read_parquet, sha256
from imaxray._common.names import columns_shown
from imaxray._common.strict_json import BadItem, parse_item
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import Fault, note
from imaxray.sources._shared.files.tables import read_csv, read_header, read_lines
from imaxray.sources.own_data.box_files import read_coco, read_voc, read_yolo
from imaxray.sources.own_data.file_folders import read_dicom, read_masks, read_reports
from imaxray.sources.own_data.mapping import Form, Table

_ENDINGS: Final[dict[str, Form]] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".csv.gz": "csv", ".tsv.gz": "csv",
    ".csv.zip": "csv", ".xlsx": "excel", ".xls": "excel", ".xlsb": "excel", ".ods": "excel",
    ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "coco",
}  # fmt: skip
"""Maps the ending of a file to its form."""


@dataclass(frozen=True)
class TableRows:
    """Holds the rows of a table.

    Attributes:
        frame: Column `row`, numbered from 1, and text columns; blank cells are null.
        count: Number of all rows, with those that could not be read.
        sha256: Fingerprint of the file, or of all files of the folder.
    """

    frame: pl.DataFrame
    count: int
    sha256: str


def form_of(path: Path) -> Form:
    """Return the form of a table or folder, by its ending or by the files in it.

    Raises:
        ImaxrayError: If the path is missing, or its form is not known.
    """
    if path.is_dir():
        return _form_of_folder(path)
    if not path.is_file():
        raise ImaxrayError(
            f"Expected a table or a folder at {path}, but there is none; correct the path."
        )
    name = path.name.lower()
    for ending, form in _ENDINGS.items():
        if name.endswith(ending):
            return form
    raise ImaxrayError(
        f"Expected a table that ends in {', '.join(_ENDINGS)}, but got {path.name}; save it in one "
        "of these forms."
    )


def _first_line(folder: Path) -> str:
    first = next(file for file in folder.rglob("*.txt") if file.is_file())
    # only the form of the line counts, so a byte that is no text does not matter
    return first.read_text("utf-8", "replace").split("\n", 1)[0]


def _form_of_folder(path: Path) -> Form:
    endings = {file.suffix.lower() for file in path.rglob("*") if file.is_file()}
    if ".xml" in endings:
        return "voc"
    if endings & {".nii", ".gz", ".png"}:
        return "masks"
    if ".txt" in endings:
        lines = _first_line(path).split()
        return "yolo" if len(lines) == 5 and all(map(_is_number, lines)) else "reports"
    if endings & {".dcm", ".dicom", ""}:
        return "dicom"
    raise ImaxrayError(
        f"Expected a folder of Pascal VOC, YOLO, masks, reports or DICOM at {path}, but its files "
        f"end in {', '.join(sorted(endings)) or 'nothing'}; name another folder."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_table(root: Path, table: Table) -> TableRows:
    """Read a table; a row that cannot be read is noted, and becomes a reject.

    Args:
        root: Folder that `table.file` is relative to.
        table: Which table to read, and how.

    Raises:
        ImaxrayError: If the file is missing, damaged or empty, lacks a column that is named, or
            needs a package that is not installed.
    """
    path = _existing(root, table)
    frame, count = _READERS[table.format](path, table)
    _require_columns(path, table, frame.columns[1:])
    return TableRows(frame, count, sha256(path) if path.is_file() else _folder_digest(path))


def check_table(root: Path, table: Table) -> None:
    """Check that a table exists, and the header of one that has a header.

    Raises:
        ImaxrayError: As :func:`read_table` does.
    """
    path = _existing(root, table)
    if table.format == "csv":
        _require_columns(path, table, read_header(path, separator=table.separator))


def _existing(root: Path, table: Table) -> Path:
    path = root / table.file
    if not path.exists():
        raise ImaxrayError(
            f"Expected the table {table.file} in {root}, but there is none; correct file or root "
            "in source.yaml."
        )
    return path


def _require_columns(path: Path, table: Table, columns: Sequence[str]) -> None:
    for key, column in named_columns(table).items():
        if column not in columns:
            raise ImaxrayError(
                f"Expected the column {column} ({key}) in {path}, but its columns are "
                f"{columns_shown(columns)}; correct source.yaml."
            )
        if columns.count(column) > 1:
            raise ImaxrayError(
                f"Expected the column {column} of {path} once, but it stands there several times; "
                "give the columns different names."
            )


def named_columns(table: Table) -> dict[str, str]:
    """Return all columns that a table of `source.yaml` names, by the key that names them."""
    return {
        **{f"columns.{field}": column for field, column in table.columns.items()},
        **{f"labels.{label}": column for label, column in table.labels.items()},
        **{f"join.{column}": column for column in table.join},
    }


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path)}\n".encode())
    return digest.hexdigest()


_Read = tuple[pl.DataFrame, int]


def _csv(path: Path, table: Table) -> _Read:
    _require_columns(path, table, read_header(path, separator=table.separator))
    frame = read_csv(path, (), separator=table.separator)
    # Rows that were left out at the end are part of the count.
    return frame, int(frame["row"].max() or 0)  # type: ignore[arg-type]


def _json_lines(path: Path, _table: Table) -> _Read:
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        if line is None:
            faults.append((number, "bad-encoding", "the row is no text of the stated encoding"))
            continue
        item = parse_item(line)
        if isinstance(item, BadItem):
            faults.append((number, item.code, item.message))
        elif not isinstance(item, dict):
            faults.append((number, "bad-json", "the item is no object"))
        else:
            rows.append({"row": number, **{str(k): _text(v) for k, v in item.items()}})
    note(path, len(lines), faults)
    if not lines:
        raise _empty(path)
    names = list(dict.fromkeys(name for row in rows for name in row if name != "row"))
    return _frame(rows, names), len(lines)


def _text(value: Any) -> str | None:
    """Return a JSON value as a cell: lists and objects stay JSON."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return text.strip() or None


def _parquet(path: Path, _table: Table) -> _Read:
    try:
        frame = read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ImaxrayError(
            f"Expected a Parquet file at {path}, but it cannot be read; write it again."
        ) from error
    return _typed(frame, path)


def _excel(path: Path, table: Table) -> _Read:
    if importlib.util.find_spec("fastexcel") is None:
        raise ImaxrayError(
            f"Expected the package fastexcel to read {path}, but it is not installed; run pip "
            "install 'imaxray[excel]', or save the sheet as CSV."
        )
    try:
        frame = read_excel(path, table.sheet)
    except Exception as error:  # the parser raises its own kinds
        raise ImaxrayError(
            f"Expected an Excel file at {path}, but it cannot be read ({type(error).__name__}); "
            "correct sheet, or save the sheet as CSV."
        ) from error
    return _typed(frame, path)


def _typed(frame: pl.DataFrame, path: Path) -> _Read:
    """Return typed columns as text, as a CSV would hold them; lists stay JSON."""
    if frame.is_empty():
        raise _empty(path)
    note(path, frame.height, [])
    rows = [
        {"row": k, **{name: _text(_whole(value)) for name, value in row.items()}}
        for k, row in enumerate(frame.iter_rows(named=True), start=1)
    ]
    return _frame(rows, frame.columns), frame.height


def _whole(value: Any) -> Any:
    """Return 3 for 3.0 and a day for its midnight: spreadsheets store all numbers as floats."""
    if isinstance(value, datetime) and value.time() == time(0):
        return value.date()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _frame(rows: list[dict[str, Any]], names: list[str]) -> pl.DataFrame:
    schema = {"row": pl.Int64, **{name: pl.String for name in names if name != "row"}}
    full = [{name: row.get(name) for name in schema} for row in rows]
    return pl.DataFrame(full, schema=schema)


def _of_files(
    read: Callable[[Path, tuple[str, ...]], tuple[list[dict[str, Any]], int, list[Fault]]],
) -> Callable[[Path, Table], _Read]:
    """Make a reader of tables from a reader of files that returns rows, their count and faults."""

    def reader(path: Path, table: Table) -> _Read:
        rows, count, faults = read(path, table.classes)
        if not count:
            raise _empty(path)
        note(path, count, faults)
        return _frame(rows, list(dict.fromkeys(name for row in rows for name in row))), count

    return reader


def _empty(path: Path) -> ImaxrayError:
    return ImaxrayError(f"Expected at least one row in {path}, but there is none; name another.")


_READERS: Final[Mapping[Form, Callable[[Path, Table], _Read]]] = {
    "csv": _csv,
    "excel": _excel,
    "parquet": _parquet,
    "jsonl": _json_lines,
    "coco": _of_files(read_coco),
    "voc": _of_files(read_voc),
    "yolo": _of_files(read_yolo),
    "masks": _of_files(read_masks),
    "reports": _of_files(read_reports),
    "dicom": _of_files(read_dicom),
}
