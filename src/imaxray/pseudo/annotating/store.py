"""An annotation on disk: parts that appear whole or not at all, two tables at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._files import write_json, write_parquet
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import require_same
from imaxray.pseudo.table import PSEUDO

MANIFEST: Final = "annotate.json"
CANDIDATES: Final = "candidates"
CALIBRATION: Final = "calibration"
_PARTS: Final = "annotate.parts"


class AnnotationStore:
    """A folder of pseudo annotations that grows until it is whole.

    ``annotate.json`` says of what they are; ``annotate.parts/`` holds what is answered so far, one
    file a batch; at the end they become ``candidates.parquet`` and ``calibration.parquet``.

    Args:
        folder: is made.
        identity: everything that decides the tables. A folder with another one is refused.
        about: what else the manifest tells, of the first start.

    Raises:
        ImaxrayError: the folder holds annotations of another identity, or of unknown origin.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.parts = folder / _PARTS
        identity = json.loads(json.dumps(identity))
        if (folder / MANIFEST).exists():
            known = json.loads((folder / MANIFEST).read_text())
            require_same(folder, known.get("identity", {}), identity, what="annotations")
        elif any((folder / f"{name}.parquet").exists() for name in (CANDIDATES, CALIBRATION)):
            raise ImaxrayError(
                f"Expected annotations of a known origin in {folder}, but its tables are there "
                f"without {MANIFEST}; choose another --out."
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._write_manifest({"identity": identity, **about})
        if self.finished:
            shutil.rmtree(self.parts, ignore_errors=True)
        else:
            self.parts.mkdir(exist_ok=True)

    @property
    def finished(self) -> bool:
        """Whether both tables are whole."""
        return (self.folder / f"{CANDIDATES}.parquet").exists()

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of the parts that are still to be made."""
        return [name for name in names if not (self.parts / f"{name}.parquet").exists()]

    def parts_table(self, names: Sequence[str]) -> pl.DataFrame:
        """Rows of some parts, sorted by id."""
        frames = [pl.DataFrame(schema=PSEUDO), *map(self._read, names)]
        return pl.concat(frames).sort("pseudo_id")

    def finish(self, candidates: Sequence[str], calibration: Sequence[str]) -> None:
        """Merge the parts to the two tables."""
        if not self.finished:
            # candidates last: they tell that all is done
            for stem, names in ((CALIBRATION, calibration), (CANDIDATES, candidates)):
                table = self.parts_table(names)
                if table["pseudo_id"].n_unique() != table.height:
                    raise ImaxrayError(
                        f"Expected every prompt once in {self.parts}, but some came twice; remove "
                        "the folder and annotate again."
                    )
                write_part(table, self.folder, stem)
        shutil.rmtree(self.parts, ignore_errors=True)

    def table(self, stem: str) -> pl.DataFrame:
        """One of the finished tables."""
        return pl.read_parquet(self.folder / f"{stem}.parquet").cast(PSEUDO)

    def manifest(self) -> dict[str, Any]:
        """What ``annotate.json`` holds."""
        known: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text())
        return known

    def tell(self, more: Mapping[str, Any]) -> None:
        """Add to the manifest."""
        self._write_manifest({**self.manifest(), **more})

    def _read(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.parts / f"{name}.parquet").cast(PSEUDO)

    def _write_manifest(self, content: Mapping[str, Any]) -> None:
        write_json(self.folder / MANIFEST, content)


def write_part(table: pl.DataFrame, folder: Path, name: str) -> None:
    """Write one table, whole or not at all; the same name again replaces it."""
    few = pl.selectors.by_dtype(pl.Enum)
    write_parquet(folder / f"{name}.parquet", table.with_columns(few.cast(pl.String)))
