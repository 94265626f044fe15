"""What an export folder holds beside the export: a manifest, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imaxray._files import sha256, write_json

MANIFEST: Final = "export.json"
LEFT_OUT: Final = "left_out.jsonl"


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Write the manifest: ``content``, and the sha256 of each file but links; returns those."""
    paths = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(paths)}
    manifest = {**content, "files": files}
    write_json(folder / MANIFEST, manifest, sort_keys=True)
    return files
