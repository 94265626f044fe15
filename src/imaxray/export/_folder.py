"""What an export folder holds beside the export: a manifest, and what was left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

MANIFEST: Final = "export.json"
LEFT_OUT: Final = "left_out.jsonl"


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
