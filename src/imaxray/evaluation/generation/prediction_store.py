"""Stores predictions on disk: in parts that are written atomically, and one table at the end."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.part_store import PartStore

PREDICTIONS: Final = pl.Schema(
    {
        "entry_id": pl.String,
        "text": pl.String,  # text for scoring, without special tokens
        "raw": pl.String,  # all generated tokens, with special tokens and thoughts
        "tokens": pl.Int32,  # number of generated tokens
        "ended": pl.Boolean,  # whether the model ended the answer; False: cut at max_new_tokens
    }
)
"""Columns of predictions. Texts are not cleaned; scoring reads ``entry_id`` and ``text``."""


class PredictionStore(PartStore):
    """Stores the predictions of an evaluation part by part.

    ``predictions.json`` holds the identity of the predictions and ``predictions.parts/`` holds the
    answers so far. At the end the parts become ``predictions.parquet``.
    """

    stem = "predictions"
    tables = ("predictions",)
    schema = PREDICTIONS
    what = "predictions"
    since = (("batches", "threads"),)

    def answered(self) -> set[str]:
        """Return the ids of the entries in the parts."""
        return set(self.rows()["entry_id"])

    def finish(self, entry_ids: AbstractSet[str]) -> pl.DataFrame:
        """Merge the parts into one table of exactly these entries, each once.

        Raises:
            ImaxrayError: If an entry has no prediction or several, or there are other predictions.
        """
        if not self.finished:
            table = self.rows()
            if table["entry_id"].to_list() != sorted(entry_ids):
                raise ImaxrayError(
                    f"Expected one prediction for each of {len(entry_ids)} entries in {self.parts},"
                    f" but found {table.height}; remove the folder and evaluate again."
                )
            self._close({"predictions": table})
        return self.table()
