"""Finds the few rows of a large table that have a key, without reading the rest of the table."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray._common.files import query_parquet

_MOST_SLICES: Final = 64  # each costs some milliseconds; reading the whole table is then cheaper
_NEAR: Final = 512  # rows between two rows that are read together


class KeyedRows:
    """The rows of a Parquet file by a column of texts, in whatever order they stand.

    A hash of each key is held in memory, of 8 bytes per row, from the first question on. It says
    which rows to read; the keys of these are compared with the key itself.

    Args:
        path: The file.
        key: Name of the column of keys.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._lock = threading.Lock()
        self._hashes: NDArray[np.uint64] | None = None

    def of(self, keys: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows that have one of the keys, in the order of the file.

        Args:
            keys: The keys.
            columns: Names of the columns to return.

        Raises:
            ImaxrayError: If the file is damaged.
        """
        hashes, named = self._known(), pl.col(self._key).is_in(list(keys))
        wanted = pl.Series(keys, dtype=pl.String).hash().to_numpy()
        slices = _joined(np.flatnonzero(np.isin(hashes, wanted)))
        read = list(dict.fromkeys([*columns, self._key]))

        def rows(table: pl.LazyFrame) -> pl.LazyFrame:
            if len(slices) > _MOST_SLICES:
                return table.select(read)
            # the slice comes first: only then does Polars read no more than its pages
            parts = [table.slice(start, length).select(read) for start, length in slices]
            return pl.concat(parts or [table.head(0).select(read)])

        return query_parquet(self._path, lambda t: rows(t).filter(named).select(columns))

    def prepare(self) -> None:
        """Read the keys now, so that the first question is answered as fast as the others."""
        self._known()

    def _known(self) -> NDArray[np.uint64]:
        with self._lock:
            if self._hashes is None:
                found = query_parquet(self._path, lambda t: t.select(pl.col(self._key).hash()))
                self._hashes = found.to_series().to_numpy()
            return self._hashes


def _joined(rows: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return start and length of slices that hold all the rows; near rows share a slice.

    Example:
        >>> _joined(np.array([3, 4, 9000]))
        [(3, 2), (9000, 1)]
    """
    if not len(rows):
        return []
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > _NEAR) + 1)
    return [(int(part[0]), int(part[-1] - part[0]) + 1) for part in parts]
