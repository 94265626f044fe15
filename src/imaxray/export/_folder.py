"""The export folder: written whole or not at all, with a manifest of what is in it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from imaxray.errors import ImaxrayError

MANIFEST: Final = "export.json"
LEFT_OUT: Final = "left_out.jsonl"


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write in that becomes ``out`` when the block ends well, and vanishes otherwise.

    Raises:
        ImaxrayError: ``out`` holds anything but an earlier export.
    """
    if out.exists() and not _is_ours(out):
        raise ImaxrayError(
            f"Expected an empty folder or an earlier export at {out}, but it holds other files; "
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


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Write the manifest: ``content``, and the sha256 of each file but links; returns those."""
    paths = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(paths)}
    manifest = {**content, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return files


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_ours(folder: Path) -> bool:
    """Whether a folder may be replaced: empty, or an export."""
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and {"imaxray", "format", "files"} <= manifest.keys()
