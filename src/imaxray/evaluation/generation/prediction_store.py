"""Predictions on disk: parts that appear whole or not at all, one table at the end."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.answering import PREDICTIONS
from imaxray.evaluation.generation.part_store import PartStore


class PredictionStore(PartStore):
    """A folder of predictions that grows until it is whole.

    ``predictions.json`` holds their identity; ``predictions.parts/`` holds what is answered so far;
    at the end the parts become ``predictions.parquet``.
    """

    stem = "predictions"
    tables = ("predictions",)
    schema = PREDICTIONS
    what = "predictions"

    def answered(self) -> set[str]:
        """Ids of the entries in the parts."""
        return set(self.rows()["entry_id"])

    def finish(self, entry_ids: AbstractSet[str]) -> pl.DataFrame:
        """Merge the parts to one table of exactly these entries, each once.

        Raises:
            ImaxrayError: an entry has no prediction or several, or there are others.
        """
        if not self.finished:
            table = self.rows()
            if table["entry_id"].to_list() != sorted(entry_ids):
                raise ImaxrayError(
                    f"Expected one prediction of each of {len(entry_ids)} entries in {self.parts},"
                    f" but found {table.height}; remove the folder and evaluate again."
                )
            self._close({"predictions": table})
        return self.table()
