"""Checks that the answers and boxes of pseudo annotations from a file are such as tasks write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.schema import Boxes, task_names


class _Answers(msgspec.Struct):
    answers: list[str]
    closed: bool


_SHAPES: Final[dict[str, Any]] = {
    "calculation": float,
    "report": dict[str, str],
    "grading": Literal[0, 1, 2, 3],
    "findings": dict[str, Literal[-1, 0, 1]],
    "rec": list[tuple[float, float, float, float]],
    "reg": list[str],
    "vqa": _Answers,
}
"""Task → type of its answers. Those of a task of another package may be any JSON."""


def require_answers(table: pl.DataFrame, path: Path) -> None:
    """Check that answers are JSON of the type of their task, and boxes four finite numbers.

    Args:
        table: Content of the file, with ``pseudo_id``, ``task``, ``answer`` and ``boxes``.
        path: The file, for the message, which shows no answer.

    Raises:
        ImaxrayError: If an answer or a box is none.
    """
    if table["pseudo_id"].null_count():
        raise ImaxrayError(
            f"Expected an id in the column pseudo_id of each row of {path}, but a row has none; "
            "write the file again with imaxray annotate."
        )
    given = table.select("pseudo_id", pl.col("task", "answer").cast(pl.String)).drop_nulls()
    shapes = {task: _SHAPES.get(task, Any) for task in task_names()}
    readers = {task: msgspec.json.Decoder(shape) for task, shape in shapes.items()}
    for pseudo_id, task, answer in given.iter_rows():
        reader = readers.get(task)
        if reader is None:
            raise _wrong(path, "task", f"one of {', '.join(readers)}", pseudo_id)
        try:
            reader.decode(answer)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise _wrong(path, "answer", f"the JSON of an answer of {task}", pseudo_id) from error
    if table.schema["boxes"] != Boxes:
        return  # the caller compares the types of columns
    one = pl.col("boxes")
    numbers = one.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    wrong = (
        table.select("pseudo_id", "boxes")
        .filter(one.list.len() > 0)
        .explode("boxes")
        .filter(one.is_null() | (one.list.len() != 4) | ~numbers)
    )
    if not wrong.is_empty():
        raise _wrong(path, "boxes", "boxes of four finite numbers", wrong["pseudo_id"][0])


def _wrong(path: Path, column: str, wanted: str, pseudo_id: str | None) -> ImaxrayError:
    return ImaxrayError(
        f"Expected {wanted} in the column {column} of {path}, but {pseudo_id} has something else; "
        "write the file again with imaxray annotate."
    )
