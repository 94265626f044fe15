"""Reads predictions from Parquet, JSON Lines or CSV files of any origin."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.digests import changed_files
from imaxray._common.files import read_parquet, sha256
from imaxray._common.names import columns_shown
from imaxray._common.state import known_state
from imaxray._common.strict_json import NO_JSON, BadItem, parse_item
from imaxray.errors import ImaxrayError
from imaxray.evaluation.joining import JoinBy
from imaxray.sources import read_csv, read_header

_NAMES: Final[dict[JoinBy, dict[str, tuple[str, ...]]]] = {
    "entry_id": {"entry_id": ("entry_id",), "text": ("text",)},
    "question": {
        "image": ("image", "image_id"), "task": ("task",), "question": ("question", "prompt"),
        "text": ("text",),
    },
}  # fmt: skip
"""Maps what predictions name to our columns, each with the names that it may have in a file."""

_OPTIONAL: Final = ("task",)
_IN_A_RUN: Final = "predictions.parquet"


@dataclass(frozen=True)
class Predictions:
    """Predictions that were read from a file.

    Attributes:
        table: Text columns, in the order of the file: entry_id and text, with repeated ids; or
            image, task, question and text.
        name: Name of the file without its folder.
        sha256: SHA-256 of the file.
        by: What predictions name, see :func:`imaxray.evaluation.join_predictions`.
    """

    table: pl.DataFrame
    name: str
    sha256: str
    by: JoinBy = "entry_id"


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


def read_predictions(path: Path, join: JoinBy = "entry_id") -> Predictions:
    """Read predictions from a Parquet, JSON Lines or CSV file; other fields are ignored.

    Args:
        path: Predictions file, or a run folder, whose ``predictions.parquet`` is read. A null text
            is an empty answer.
        join: What predictions name: ``entry_id`` (fields entry_id and text), or ``question`` (image
            or image_id, question or prompt, text, and task, which may be missing).

    Raises:
        ImaxrayError: If the file does not exist or has another format, a field is missing, or a
            field has the wrong type.
    """
    if path.is_dir():
        path = path / _IN_A_RUN
    needed = ", ".join(name for name in _NAMES[join] if name not in _OPTIONAL)
    if not path.is_file():
        raise ImaxrayError(
            f"Expected predictions (Parquet, JSON Lines or CSV) at {path}, but the file does not "
            f"exist; name a file with {needed}."
        )
    _require_unchanged(path)
    if path.suffix == ".parquet":
        table = _of_columns(_parquet(path), path, join)
    elif path.suffix == ".csv":
        table = _of_columns(_csv(path, join), path, join)
    else:
        table = _json_lines(path, join)
    return Predictions(table, path.name, sha256(path), join)


def _require_unchanged(path: Path) -> None:
    """Compare predictions that imaxray wrote with the digest in the manifest beside them.

    Raises:
        ImaxrayError: They were changed.
    """
    files = known_state(path.with_suffix(".json")).get("files")
    digest = files.get(path.name) if isinstance(files, dict) else None
    if digest is not None and changed_files(path.parent, {path.name: digest}):
        raise ImaxrayError(
            f"Expected {path} as {path.with_suffix('.json').name} beside it describes it, but it "
            "was changed; evaluate the model again, or, if you changed it yourself, name a copy in "
            "another folder."
        )


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ImaxrayError(
            f"Expected a Parquet file at {path}, but it cannot be read; write it again."
        ) from error


def _csv(path: Path, join: JoinBy) -> pl.DataFrame:
    ours = {name for names in _NAMES[join].values() for name in names}
    header = read_header(path)
    twice = sorted(name for name in ours if header.count(name) > 1)
    if twice:
        raise ImaxrayError(
            f"Expected one column {twice[0]} in {path}, but there are {header.count(twice[0])}; "
            "remove or rename the others."
        )
    try:
        return read_csv(path, []).drop("row")
    except OSError as error:
        raise ImaxrayError(
            f"Expected a CSV file (UTF-8, commas) at {path}, but it cannot be read; write it again."
        ) from error


def _of_columns(table: pl.DataFrame, path: Path, join: JoinBy) -> pl.DataFrame:
    """Return our columns of a table; only text may be blank."""
    found: list[pl.Expr] = []
    for ours, names in _NAMES[join].items():
        name = next((n for n in names if n in table.columns), None)
        if name is None and ours in _OPTIONAL:
            found.append(pl.lit(None, pl.String).alias(ours))
        elif name is None or table[name].dtype not in (pl.String, pl.Categorical):
            raise ImaxrayError(
                f"Expected a text column {' or '.join(names)} in {path}, but got "
                f"{columns_shown(table.columns)}; rename a column or add {names[0]}{_advice(join)}."
            )
        else:
            if ours not in ("text", *_OPTIONAL) and table[name].null_count():
                row = table[name].is_null().arg_max()
                raise ImaxrayError(
                    f"Expected a text in {name} of each row of {path}, but row {(row or 0) + 1} "
                    "has none; add it, or remove the row."
                )
            found.append(pl.col(name).cast(pl.String).alias(ours))
    return table.select(found)


def _json_lines(path: Path, join: JoinBy) -> pl.DataFrame:
    rows = []
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)  # some editors write this mark
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        item = parse_item(line)
        if isinstance(item, BadItem):
            wrong = "is not JSON" if item.message == NO_JSON else f"is wrong: {item.message}"
            raise ImaxrayError(
                f"Expected one JSON object per line in {path}, but line {number} {wrong}; "
                "correct the line."
            )
        row = []
        for ours, names in _NAMES[join].items():
            name = next((n for n in names if isinstance(item, dict) and n in item), None)
            value = None if name is None else item[name]
            if ours == "text":
                if name is None or not isinstance(value, str | None):
                    raise ImaxrayError(
                        f"Expected the model's answer as text (or null) in {path}, but line "
                        f"{number} has none; add the field text."
                    )
            elif not isinstance(value, str) and not (ours in _OPTIONAL and value is None):
                raise ImaxrayError(
                    f"Expected an object with a text {' or '.join(names)} in {path}, but line "
                    f"{number} has none; add the {names[0]}{_advice(join)}."
                )
            row.append(value)
        rows.append(row)
    return pl.DataFrame(rows, schema=dict.fromkeys(_NAMES[join], pl.String), orient="row")


def _advice(join: JoinBy) -> str:
    """Return the other way of joining, for a file that lacks ids."""
    return ", or join by image and question (--join question)" if join == "entry_id" else ""
