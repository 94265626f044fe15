"""Writes the manifest of an export folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imaxray._common.files import sha256
from imaxray._common.state import write_state

MANIFEST: Final = "export.json"
LEFT_OUT: Final = "left_out.jsonl"


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Write ``content`` and the sha256 of each file except links; return the sha256 by path."""
    paths = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(paths)}
    manifest = {**content, "files": files}
    write_state(folder / MANIFEST, manifest, sort_keys=True)
    return files
