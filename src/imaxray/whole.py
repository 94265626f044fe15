"""Folders that appear whole or not at all, and never replace somebody else's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from imaxray.errors import ImaxrayError


@contextmanager
def whole_folder(out: Path, *, manifest: str, keys: Collection[str], what: str) -> Iterator[Path]:
    """A folder to write in that becomes ``out`` when the block ends well, and vanishes otherwise.

    Args:
        out: what it becomes; an empty folder, or an earlier one of the same kind, is replaced.
        manifest: name of the JSON file by which one of the kind is known.
        keys: which that file has.
        what: the kind, for the error.

    Raises:
        ImaxrayError: ``out`` holds anything else.
    """
    if out.exists() and not _may_go(out, manifest, keys):
        raise ImaxrayError(
            f"Expected an empty folder or an earlier {what} at {out}, but it holds other files; "
            "choose another folder."
        )
    out = out.resolve()  # "." has no name to write aside under
    aside, old = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)  # removing it takes time; a kill in between must not cost both
    aside.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _may_go(folder: Path, manifest: str, keys: Collection[str]) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        content = json.loads((folder / manifest).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and set(keys) <= content.keys()
