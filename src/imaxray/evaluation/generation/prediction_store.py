"""Predictions on disk: parts that appear whole or not at all, one table at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._files import write_json, write_parquet
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.answering import PREDICTIONS

MANIFEST: Final = "predictions.json"
TABLE: Final = "predictions.parquet"
_PARTS: Final = "predictions.parts"


class PredictionStore:
    """A folder of predictions that grows until it is whole.

    ``predictions.json`` says of what they are; ``predictions.parts/`` holds what is answered so
    far; at the end they become ``predictions.parquet`` and the parts go.

    Args:
        folder: is made.
        identity: everything that decides the predictions. A folder with another one is refused.
        about: what else the manifest tells, e.g. versions; of the first start.

    Raises:
        ImaxrayError: the folder holds predictions of another identity.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], about: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self._parts = folder / _PARTS
        manifest = folder / MANIFEST
        identity = json.loads(json.dumps(identity))
        if manifest.exists():
            require_same(
                folder, json.loads(manifest.read_text())["identity"], identity, what="predictions"
            )
        elif (folder / TABLE).exists():
            raise ImaxrayError(
                f"Expected predictions of a known origin in {folder}, but {TABLE} is there without "
                f"{MANIFEST}; choose another --out."
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(manifest, {"identity": identity, **(about or {})})
        if self.finished:
            shutil.rmtree(self._parts, ignore_errors=True)
        else:
            self._parts.mkdir(exist_ok=True)

    @property
    def finished(self) -> bool:
        """Whether the table is whole."""
        return (self.folder / TABLE).exists()

    def answered(self) -> set[str]:
        """Ids of the entries in the parts."""
        return set(self._read()["entry_id"])

    def add(self, name: str, predictions: pl.DataFrame) -> None:
        """Write one part; the same name again replaces it."""
        write_parquet(self._parts / f"{name}.parquet", predictions)

    def table(self) -> pl.DataFrame:
        """All predictions, sorted by entry id."""
        return pl.read_parquet(self.folder / TABLE) if self.finished else self._read()

    def finish(self, entry_ids: set[str]) -> pl.DataFrame:
        """Merge the parts to one table of exactly these entries, each once."""
        if not self.finished:
            table = self._read()
            if table["entry_id"].to_list() != sorted(entry_ids):
                raise ImaxrayError(
                    f"Expected one prediction of each of {len(entry_ids)} entries in {self._parts},"
                    f" but found {table.height}; remove the folder and evaluate again."
                )
            write_parquet(self.folder / TABLE, table)
        shutil.rmtree(self._parts, ignore_errors=True)
        return self.table()

    def _read(self) -> pl.DataFrame:
        files = sorted(self._parts.glob("*.parquet"))
        parts = [pl.read_parquet(file).cast(PREDICTIONS) for file in files]
        return pl.concat([pl.DataFrame(schema=PREDICTIONS), *parts]).sort("entry_id")


def require_same(folder: Path, found: Any, identity: Any, *, what: str) -> None:
    """Check that a folder holds what one wants to go on with.

    Raises:
        ImaxrayError: its identity is another.
    """
    if found == identity:
        return
    differ = sorted(key for key in {*found, *identity} if found.get(key) != identity.get(key))
    key = differ[0]
    raise ImaxrayError(
        f"Expected {folder} to hold {what} of the same model, data and decoding, but its "
        f"{' and '.join(differ)} differ ({key}: {found.get(key)} there, {identity.get(key)} now); "
        "choose another --out, or remove the folder."
    )
