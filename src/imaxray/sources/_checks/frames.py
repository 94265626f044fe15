"""Gives the frames that a source returns the columns and types of their schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS

ROW: Final = ("source", "file", "row")
"""Columns that say where a row comes from."""


def reject_rows(rows: pl.DataFrame, key: pl.Expr, code: str, message: str) -> pl.DataFrame:
    """Return rejects for ``rows``, which have the columns source, file and row."""
    return rows.select(
        *(pl.col(name).cast(REJECTS[name]) for name in ROW),
        key.cast(pl.String).alias("key"),
        pl.lit(code, dtype=REJECTS["code"]).alias("code"),
        pl.lit(message, dtype=REJECTS["message"]).alias("message"),
    )


def typed(
    frame: Any, schema: pl.Schema, required: Sequence[str], *, source: str, what: str
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return ``frame`` with the columns and types of ``schema``, and rejects.

    A column that is not required may be missing; it is null then. A row with a value that its
    column cannot hold, such as text for a number, is a reject ``bad-value``.

    Args:
        frame: What the source returned.
        schema: Schema that it must have.
        required: Columns that must exist.
        source: Name of the source, for errors.
        what: Name of the frame, for errors.

    Raises:
        ImaxrayError: If it is no frame, if a column is missing or unknown, or if all of a column
            has a type that cannot become the type of the schema.
    """
    if not isinstance(frame, pl.DataFrame):
        raise ImaxrayError(
            f"Expected the {what} of the source {source} as a Polars frame, but it returned "
            f"{type(frame).__name__}; correct the source."
        )
    missing = [name for name in required if name not in frame.columns]
    unknown = [name for name in frame.columns if name not in schema]
    if missing or unknown:
        fault = f"lack {', '.join(missing)}" if missing else f"also have {', '.join(unknown)}"
        raise ImaxrayError(
            f"Expected the columns {', '.join(schema.names())} in the {what} of the source "
            f"{source}, but they {fault}; correct the source."
        )
    if frame.schema == schema:
        return frame, []
    columns: list[pl.Series] = []
    lost: dict[str, pl.Series] = {}
    for name, dtype in schema.items():
        if name not in frame.columns:
            columns.append(pl.Series(name, [None], dtype=dtype).new_from_index(0, frame.height))
            continue
        column = frame[name]
        cast = _cast(column, dtype, source=source, what=what)
        gone = column.is_not_null() & cast.is_null()
        if gone.any():
            lost[name] = gone
        columns.append(cast)
    whole = pl.DataFrame(columns)
    key = pl.coalesce(*(pl.col(name) for name in ("image_id", "study_id", "patient_id", "key")
                        if name in schema))  # fmt: skip
    rejects = [
        reject_rows(whole.filter(gone), key, *_what_was_lost(name)) for name, gone in lost.items()
    ]
    any_gone = pl.any_horizontal([pl.lit(False), *(pl.lit(gone) for gone in lost.values())])
    return (whole.filter(~any_gone) if lost else whole), rejects


def require_rows(frame: pl.DataFrame, files: Mapping[str, int], *, source: str, what: str) -> None:
    """Check that each row of ``frame`` names a row of a file that the source lists.

    Args:
        frame: Frame with the columns source, file and row.
        files: Number of rows of each file.
        source: Name of the source.
        what: Name of the frame, for errors.

    Raises:
        ImaxrayError: If a row names another source, a file that is not listed, or a row that the
            file does not have.
    """
    if frame.is_empty():
        return
    last = frame.select(ROW).group_by("source", "file").agg(
        pl.col("row").min().alias("first"), pl.col("row").max().alias("last"),
        pl.col("row").null_count().alias("none"),
    )  # fmt: skip
    for name, file, first, end, none in last.iter_rows():
        if name != source:
            fault = f"the column source has {name}"
        elif file not in files:
            fault = f"the column file has {file}, which is none of its files"
        elif none or first < 1 or end > files[file]:
            row = None if none else first if first < 1 else end
            fault = f"the column row has {row} for {file}, which has {files[file]} rows"
        else:
            continue
        raise ImaxrayError(
            f"Expected every row of the {what} of the source {source} to name a row of one of its "
            f"files, but {fault}; correct the source."
        )


def _cast(column: pl.Series, dtype: Any, *, source: str, what: str) -> pl.Series:
    try:
        if isinstance(dtype, pl.Enum) and column.dtype != dtype:
            # A text that is none of the categories becomes null, which `typed` notices.
            known = pl.Series(dtype.categories)
            text = column.cast(pl.String)
            return text.set(~text.is_in(known.implode()), None).cast(dtype)
        return column.cast(dtype, strict=False)  # what is lost becomes null and is rejected
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise ImaxrayError(
            f"Expected the type {dtype} in the column {column.name} of the {what} of the source "
            f"{source}, but it has {column.dtype}; correct the source."
        ) from error


def _what_was_lost(column: str) -> tuple[str, str]:
    if column == "kind":
        return "unknown-kind", "the kind is none of ours"
    return "bad-value", f"the column {column} cannot hold the value"
