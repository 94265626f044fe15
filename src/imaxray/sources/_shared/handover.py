"""Tables of one release from the process that read it to the one that joins: through a file.

A result that travels between processes is held several times on either side (table, its bytes, the
message); a release of millions of rows would then need more memory to be handed over than to be
joined.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

import polars as pl

from imaxray.sources._shared.records import SourceTables

_FRAMES: Final = ("images", "annotations", "hints", "rejects")


def read_elsewhere(
    read: Callable[[Path], SourceTables], root: Path, pool: Executor
) -> SourceTables:
    """``read(root)`` in a process of ``pool``; the result is the same."""
    with tempfile.TemporaryDirectory(prefix="imaxray-") as name:
        folder = Path(name)
        bare = pool.submit(_read_to, folder, read, root).result()
        images, annotations, hints, rejects = (
            pl.read_ipc(folder / f"{frame}.arrow") for frame in _FRAMES
        )
    return SourceTables(images, annotations, hints, rejects, bare.files)


def _read_to(folder: Path, read: Callable[[Path], SourceTables], root: Path) -> SourceTables:
    tables = read(root)
    for frame in _FRAMES:
        getattr(tables, frame).write_ipc(folder / f"{frame}.arrow", compression="uncompressed")
    return SourceTables(files=tables.files)
