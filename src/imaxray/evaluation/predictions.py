"""Reads predictions from Parquet files of this package or from JSON Lines files of any origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import polars as pl

from imaxray._files import read_parquet, sha256
from imaxray.errors import ImaxrayError

_COLUMNS: Final = pl.Schema({"entry_id": pl.String, "text": pl.String})
_IN_A_RUN: Final = "predictions.parquet"


@dataclass(frozen=True)
class Predictions:
    """Predictions that were read from a file.

    Attributes:
        table: Columns entry_id and text, in the order of the file, with repeated ids.
        name: Name of the file without its folder.
        sha256: SHA-256 of the file.
    """

    table: pl.DataFrame
    name: str
    sha256: str


def find_predictions(path: Path, data: Path, split: str) -> Path:
    """Return the file of predictions that a path stands for.

    Args:
        path: File, or a folder: ``predictions.parquet`` in it, or else the predictions that
            ``imaxray evaluate`` wrote into ``evaluation/DATASET-SPLIT`` of this run folder.
        data: Dataset folder whose entries were answered.
        split: Split of these entries.

    Raises:
        ImaxrayError: The folder has no predictions of this dataset and split.
    """
    if not path.is_dir() or (path / _IN_A_RUN).is_file():
        return path
    inner = Path("evaluation") / f"{data.resolve().name}-{split}" / _IN_A_RUN
    if (path / inner).is_file():
        return path / inner
    others = sorted(found.parent.name for found in path.glob(f"evaluation/*/{_IN_A_RUN}"))
    there = f"its evaluations are {', '.join(others)}" if others else "it was not evaluated yet"
    raise ImaxrayError(
        f"Expected {_IN_A_RUN} or {inner} in {path}, but {there}; evaluate the model on this "
        "dataset and split, or name a file of predictions."
    )


def read_predictions(path: Path) -> Predictions:
    """Read a Parquet or JSON Lines file with ``entry_id`` and ``text``; other fields are ignored.

    Args:
        path: Predictions file, or a run folder, whose ``predictions.parquet`` is read. A null text
            is an empty answer.

    Raises:
        ImaxrayError: If the file does not exist or has another format, a field is missing, or a
            field has the wrong type.
    """
    if path.is_dir():
        path = path / _IN_A_RUN
    if not path.is_file():
        raise ImaxrayError(
            f"Expected predictions (Parquet or JSON Lines) at {path}, but the file does not exist; "
            "name a file with entry_id and text."
        )
    table = _parquet(path) if path.suffix == ".parquet" else _json_lines(path)
    return Predictions(table, path.name, sha256(path))


def _parquet(path: Path) -> pl.DataFrame:
    try:
        table = read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ImaxrayError(
            f"Expected a Parquet file at {path}, but it cannot be read; write it again."
        ) from error
    for column in _COLUMNS:
        if column not in table.columns or table[column].dtype not in (pl.String, pl.Categorical):
            raise ImaxrayError(
                f"Expected a text column {column} in {path}, but got {', '.join(table.columns)}; "
                f"rename a column or add {column}."
            )
    return table.select(pl.col(column).cast(pl.String) for column in _COLUMNS)


def _json_lines(path: Path) -> pl.DataFrame:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ImaxrayError(
                f"Expected one JSON object per line in {path}, but line {number} is not JSON; "
                "correct the line."
            ) from error
        if not isinstance(item, dict) or not isinstance(item.get("entry_id"), str):
            raise ImaxrayError(
                f"Expected an object with a text entry_id in {path}, but line {number} has none; "
                "add the entry_id."
            )
        if "text" not in item or not isinstance(item["text"], str | None):
            raise ImaxrayError(
                f"Expected the model's answer as text (or null) in {path}, but line {number} has "
                "none; add the field text."
            )
        rows.append((item["entry_id"], item["text"]))
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")
