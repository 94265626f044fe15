"""Reads images that a Parquet file holds, as the libraries of training data write them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from imaxray._common.files import utf8_path

COLUMNS: Final = ("images", "image")
"""Columns that may hold images, as ``{"bytes", "path"}`` or as a list of these."""

PER_ROW: Final = 1000
"""Images of a row that can be told apart; the place of an image is row times this, plus number."""

_ROWS: Final = 64


def parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file; an image that the file holds is replaced by its place.

    It becomes ``{"path", "place", "sha256"}``, see :func:`embedded_image`.

    Raises:
        pyarrow.ArrowException: The file is damaged or is no Parquet file.
    """
    number = 0
    for batch in pq.ParquetFile(utf8_path(path)).iter_batches(batch_size=_ROWS):
        for record in batch.to_pylist():
            for column in COLUMNS:
                if record.get(column) is not None:
                    record[column] = _placed(record[column], number)
            yield record
            number += 1


def _placed(given: Any, number: int) -> Any:
    items = given if isinstance(given, list) else [given]
    placed = [
        {"path": item.get("path"), "place": number * PER_ROW + at,
         "sha256": hashlib.sha256(item["bytes"]).hexdigest()}
        if isinstance(item, dict) and item.get("bytes") is not None
        else item
        for at, item in enumerate(items)
    ]  # fmt: skip
    return placed if isinstance(given, list) else placed[0]


def embedded_image(path: Path, place: int) -> bytes:
    """Return an image that a Parquet file holds.

    Args:
        path: Parquet file.
        place: Number of the row times PER_ROW, plus the number of the image in the row.
    """
    row, number = divmod(place, PER_ROW)
    file = _opened(path, path.stat().st_mtime_ns)
    start = group = 0
    while start + (rows := file.metadata.row_group(group).num_rows) <= row:
        start, group = start + rows, group + 1
    table = _group(file, group)
    for column in COLUMNS:
        if column in table.column_names and (given := table[column][row - start].as_py()):
            items = given if isinstance(given, list) else [given]
            found: bytes = items[number]["bytes"]
            return found
    raise LookupError(f"no image at {place}")  # parquet_records named this place


@contextmanager
def embedded_file(path: Path, place: int) -> Iterator[Path]:
    """Write an image that a Parquet file holds into a file of its own, which decoders can read."""
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(embedded_image(path, place))
        copy.flush()
        yield Path(copy.name)


@lru_cache(maxsize=1)  # images are read in the order of files and rows
def _opened(path: Path, _changed: int) -> pq.ParquetFile:
    return pq.ParquetFile(utf8_path(path))


@lru_cache(maxsize=1)
def _group(file: pq.ParquetFile, group: int) -> pa.Table:
    columns = [name for name in COLUMNS if name in file.schema_arrow.names]
    return file.read_row_group(group, columns=columns)
