"""An annotation on disk: parts that appear whole or not at all, two tables at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import PartStore
from imaxray.pseudo.table import PSEUDO

CANDIDATES: Final = "candidates"
CALIBRATION: Final = "calibration"


class AnnotationStore(PartStore):
    """A folder of pseudo annotations that grows until it is whole.

    ``annotate.json`` holds their identity; ``annotate.parts/`` holds what is answered so far, one
    file a batch; at the end the parts become ``calibration.parquet`` and ``candidates.parquet``.
    """

    stem = "annotate"
    tables = (CALIBRATION, CANDIDATES)
    schema = PSEUDO
    what = "annotations"

    def finish(self, candidates: Sequence[str], calibration: Sequence[str]) -> None:
        """Merge the parts to the two tables.

        Args:
            candidates: names of the parts of ``candidates.parquet``.
            calibration: likewise.

        Raises:
            ImaxrayError: a prompt was answered twice.
        """
        if self.finished:
            return
        tables = {CALIBRATION: self.rows(calibration), CANDIDATES: self.rows(candidates)}
        for table in tables.values():
            if table["pseudo_id"].n_unique() != table.height:
                raise ImaxrayError(
                    f"Expected every prompt once in {self.parts}, but some came twice; remove "
                    "the folder and annotate again."
                )
        self._close(tables)
