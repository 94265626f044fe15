"""Read predictions: our own Parquet, or anybody's JSON lines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import polars as pl

from imaxray._files import read_parquet
from imaxray.errors import ImaxrayError

_COLUMNS: Final = pl.Schema({"entry_id": pl.String, "text": pl.String})
_IN_A_RUN: Final = "predictions.parquet"


@dataclass(frozen=True)
class Predictions:
    """Predictions that were read.

    Attributes:
        table: entry_id, text; in the order of the file, doubles included.
        name: of the file, without its folder.
        sha256: of the file.
    """

    table: pl.DataFrame
    name: str
    sha256: str


def read_predictions(path: Path) -> Predictions:
    """Read a Parquet file or JSON lines with ``entry_id`` and ``text``; more fields do no harm.

    A run folder stands for its ``predictions.parquet``. A null text is an answer that is empty.

    Raises:
        ImaxrayError: no such file, another format, a missing field, a text that is no text.
    """
    if path.is_dir():
        path = path / _IN_A_RUN
    if not path.is_file():
        raise ImaxrayError(
            f"Expected predictions (Parquet or JSON lines) at {path}, but there is no such file; "
            "name one with entry_id and text."
        )
    table = _parquet(path) if path.suffix == ".parquet" else _json_lines(path)
    return Predictions(table, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def _parquet(path: Path) -> pl.DataFrame:
    try:
        table = read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ImaxrayError(
            f"Expected a Parquet file at {path}, but it cannot be read; write it anew."
        ) from error
    for column in _COLUMNS:
        if column not in table.columns or table[column].dtype not in (pl.String, pl.Categorical):
            raise ImaxrayError(
                f"Expected a text column {column} in {path}, but got {', '.join(table.columns)}; "
                "rename or add it."
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
                f"Expected one JSON object a line in {path}, but line {number} is none; mend it."
            ) from error
        if not isinstance(item, dict) or not isinstance(item.get("entry_id"), str):
            raise ImaxrayError(
                f"Expected an object with a text entry_id in {path}, but line {number} has none; "
                "add it."
            )
        if "text" not in item or not isinstance(item["text"], str | None):
            raise ImaxrayError(
                f"Expected the model's answer as text (or null) in {path}, but line {number} has "
                "none; add it."
            )
        rows.append((item["entry_id"], item["text"]))
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")
