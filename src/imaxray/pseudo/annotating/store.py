"""Stores an annotation on disk as complete parts, which become two tables at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import PartStore
from imaxray.pseudo.table import PSEUDO

CANDIDATES: Final = "candidates"
CALIBRATION: Final = "calibration"


class AnnotationStore(PartStore):
    """A folder of pseudo annotations, to which parts are added until it is complete.

    ``annotate.json`` contains the identity of the annotations. ``annotate.parts/`` contains the
    answers so far, one file per batch. At the end the parts become ``calibration.parquet`` and
    ``candidates.parquet``.
    """

    stem = "annotate"
    tables = (CALIBRATION, CANDIDATES)
    schema = PSEUDO
    what = "annotations"

    def finish(self, candidates: Sequence[str], calibration: Sequence[str]) -> None:
        """Merge the parts into the two tables.

        Args:
            candidates: Names of the parts of ``candidates.parquet``.
            calibration: Names of the parts of ``calibration.parquet``.

        Raises:
            ImaxrayError: A prompt was answered twice.
        """
        if self.finished:
            return
        tables = {CALIBRATION: self.rows(calibration), CANDIDATES: self.rows(candidates)}
        for table in tables.values():
            if table["pseudo_id"].n_unique() != table.height:
                raise ImaxrayError(
                    f"Expected every prompt once in {self.parts}, but some occur twice; remove "
                    "the folder and annotate again."
                )
        self._close(tables)
