"""Passes the tables of a release from the process that read them to the main process, as files.

A result that is sent between processes is held in memory several times on both sides (as a table,
as bytes and as a message). Sending a release of millions of rows would need more memory than
joining it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from imaxray._common.files import read_arrow, utf8_path
from imaxray.sources._shared.records import SourceTables

_FRAMES: Final = ("images", "annotations", "hints", "rejects")


def read_elsewhere(
    read: Callable[[Path], SourceTables], root: Path, pool: Executor
) -> SourceTables:
    """Run ``read(root)`` in a process of ``pool`` and return its result."""
    with tempfile.TemporaryDirectory(prefix="imaxray-") as name:
        folder = Path(name)
        bare = pool.submit(_read_to, folder, read, root).result()
        images, annotations, hints, rejects = (
            read_arrow(folder / f"{frame}.arrow") for frame in _FRAMES
        )
    return SourceTables(images, annotations, hints, rejects, bare.files, bare.checked)


def _read_to(folder: Path, read: Callable[[Path], SourceTables], root: Path) -> SourceTables:
    tables = read(root)
    for frame in _FRAMES:
        getattr(tables, frame).write_ipc(
            utf8_path(folder / f"{frame}.arrow"), compression="uncompressed"
        )
    return SourceTables(files=tables.files, checked=tables.checked)
