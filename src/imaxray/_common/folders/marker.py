"""Lists in each folder what a command wrote there; only what is listed is ever removed.

A hidden file in the folder, the marker, names the kind of the folder and lists the files that the
command wrote. Everything else in the folder belongs to the user.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from imaxray._common.digests import MEMORY
from imaxray._common.files import is_unfinished, sha256
from imaxray._common.folders.claimed import CLAIMED
from imaxray._common.lock import LOCK
from imaxray._common.state import known_state, write_state
from imaxray.errors import ImaxrayError

MARKER: Final = ".imaxray.json"
"""Name of the marker in a folder."""


@dataclass(frozen=True)
class Marker:
    """Says what a folder is and what a command wrote into it.

    Attributes:
        kind: Kind of the folder, e.g. ``dataset`` or ``run``.
        identity: Digest of what decided the content.
        files: Files by their paths in the folder, with forward slashes; a name with a slash at its
            end is a folder that belongs to the command as a whole.
    """

    kind: str
    identity: str
    files: tuple[str, ...]


def write_marker(folder: Path, marker: Marker) -> None:
    """Write the marker of a folder."""
    files = sorted(marker.files)
    write_state(folder / MARKER, {"kind": marker.kind, "identity": marker.identity, "files": files})


def read_marker(folder: Path) -> Marker | None:
    """Return the marker of a folder; None if there is none or it is damaged."""
    found = known_state(folder / MARKER)
    try:
        return Marker(str(found["kind"]), str(found["identity"]), tuple(map(str, found["files"])))
    except (KeyError, TypeError):
        return None


def require_own_manifest(folder: Path, manifest: str) -> None:
    """Compare a manifest with the digest in the marker, because a manifest cannot hold its own.

    A folder without a marker, such as a copy without hidden files, is not compared.

    Raises:
        ImaxrayError: If the manifest is another one than that which was written.
    """
    marker = read_marker(folder)
    if marker is None or manifest not in marker.files or not (folder / manifest).is_file():
        return
    if marker.identity and sha256(folder / manifest) != marker.identity:
        raise ImaxrayError(
            f"Expected {manifest} of the {marker.kind} folder {folder} as {MARKER} there "
            "describes it, but one of them was changed or damaged; make the folder again."
        )


def is_free(folder: Path) -> bool:
    """Tell whether a folder is absent, or empty but for what a killed process left."""
    if not os.path.lexists(folder):
        return True
    return folder.is_dir() and all(is_hidden_own(path.name) for path in folder.iterdir())


def is_hidden_own(name: str) -> bool:
    return name in (LOCK, MEMORY, CLAIMED) or is_unfinished(name)


def remove_listed(folder: Path, files: Collection[str]) -> None:
    """Remove the listed files of a folder, and the folders that are empty afterwards."""
    for name in files:
        path = folder / name
        if not _leads_inside(name):
            continue
        if name.endswith("/") and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
            path.unlink()
    parents = {parent for name in files for parent in PurePosixPath(name).parents}
    for parent in sorted(parents, key=lambda path: -len(path.parts)):
        inner = folder / parent
        if parent.parts and inner.is_dir() and not any(inner.iterdir()):
            inner.rmdir()


def _leads_inside(name: str) -> bool:
    """Tell whether a listed name stays in its folder; a marker could have been edited."""
    pure = PurePosixPath(name)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
