"""Stores measurements in a folder: one Gram matrix file each, and tables over all of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from imaxray._common.files import read_parquet, write_parquet
from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.numbers.tables import PAIRS, SPECTRA, spectra_table, tasks_table


def gram_path(folder: Path, seen: int) -> Path:
    """Return the path of the Gram matrix that was measured after ``seen`` entries."""
    return folder / "gram" / f"{seen:012d}.parquet"


def record(folder: Path, gram: Gram, *, step: int, entries_seen: int) -> None:
    """Write a measurement into its Gram matrix file, ``spectra.parquet`` and ``tasks.parquet``.

    Each file is written atomically.
    """
    gram.write(gram_path(folder, entries_seen))
    for name, schema, table in (
        ("spectra", SPECTRA, spectra_table(gram, step=step, entries_seen=entries_seen)),
        ("tasks", PAIRS, tasks_table(gram, step=step, entries_seen=entries_seen)),
    ):
        before = read_table(folder, name, schema).filter(pl.col("entries_seen") != entries_seen)
        kept = pl.concat([before, table]).sort("entries_seen", maintain_order=True)
        write_parquet(folder / f"{name}.parquet", kept)


def is_recorded(folder: Path, seen: int) -> bool:
    """Whether a measurement exists with its rows in both tables.

    A call that is killed between two files leaves a measurement without its rows. A Gram matrix
    with only one task has no rows in ``tasks.parquet``.
    """
    if not gram_path(folder, seen).exists() or not (folder / "tasks.parquet").exists():
        return False
    gram = Gram.read(gram_path(folder, seen))
    tables = [("spectra", SPECTRA)]
    if gram.tasks is not None and len(set(gram.tasks)) > 1:
        tables.append(("tasks", PAIRS))
    return all(seen in read_table(folder, name, schema)["entries_seen"] for name, schema in tables)


def read_table(folder: Path, name: str, schema: pl.Schema) -> pl.DataFrame:
    """Read the table ``spectra`` or ``tasks``; it is empty if the file does not exist."""
    path = folder / f"{name}.parquet"
    return read_parquet(path) if path.exists() else schema.to_frame()
