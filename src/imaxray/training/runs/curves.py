"""Reads the learning curve of a run, and its losses on the val split, as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from imaxray._common.digests import changed_files
from imaxray._common.state import known_state, read_state_lines
from imaxray.errors import ImaxrayError
from imaxray.training.runs.manifest import CurvePoint, Validation

CURVE: Final = "curve.jsonl"
"""Name of the file with the learning curve."""

EVALUATIONS: Final = "evaluations.jsonl"
"""Name of the file with the losses on the val split."""


def read_curve(folder: Path, *, advice: str) -> list[CurvePoint]:
    """Return the points of the learning curve of a run, in order.

    Args:
        folder: Run folder.
        advice: End of the message, which says what the user should do.

    Raises:
        ImaxrayError: The file is missing, or was changed after the run was finished.
    """
    return _read(folder, CURVE, CurvePoint, advice)


def read_evaluations(folder: Path, *, advice: str) -> list[Validation]:
    """Return the losses on the val split during the training, in order; empty if there are none.

    Args:
        folder: Run folder.
        advice: End of the message, which says what the user should do.

    Raises:
        ImaxrayError: The file is missing though the run wrote it, or was changed.
    """
    return _read(folder, EVALUATIONS, Validation, advice, optional=True)


def _read(folder: Path, name: str, shape: Any, advice: str, *, optional: bool = False) -> list[Any]:
    digests = known_state(folder / "run.json").get("file_sha256")
    digest = digests.get(name) if isinstance(digests, dict) else None
    if digest is not None and changed_files(folder, {name: str(digest)}):
        raise ImaxrayError(
            f"Expected {folder / name} as run.json describes it, but it is missing or was changed; "
            f"{advice}."
        )
    if optional and not (folder / name).exists():
        return []
    return read_state_lines(folder / name, shape, advice=advice)
