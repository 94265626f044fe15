"""Compares every file of a folder that imaxray wrote with the digests in the folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from imaxray._common.digests import MEMORY, changed_files
from imaxray._common.files import PART, sha256
from imaxray._common.folders import CLAIMED, MARKER, claimed_digests, has_claims, read_marker
from imaxray._common.printing import counted
from imaxray._common.state import DIGEST_KEY, is_changed, known_state
from imaxray.errors import ImaxrayError

_MANIFESTS: Final = (
    "manifest.json", "export.json", "run.json", "annotate.json", "predictions.json", "share.json",
    "init.json", "measured.json",
)  # fmt: skip
_OF_OTHERS: Final = "manifest.json"  # other programs write files of this name, too
_GROWING: Final = ("run", "image cache")
_BY_HAND: Final = ("roots.json",)  # a user edits it when a release moves
_IN_MARKER: Final = {
    "dataset": "manifest.json", "export": "export.json", "shared dataset": "share.json",
}  # fmt: skip
"""Kinds of folders whose marker holds the digest of their manifest."""

_ASIDE: Final = (PART, ".old")


def verify_folder(folder: Path) -> tuple[str, list[str]]:
    """Read every file of a folder and compare it with the folder's manifest.

    Args:
        folder: A dataset, an image cache, an export, a shared dataset, a phantom, a run, pseudo
            annotations, predictions, a folder of results (of score, compare or dynamics), or of a
            study, a strategy or an ablation. Folders inside are compared, too.

    Returns:
        The name of the manifest, and the names of the files that are missing or were changed; among
        them are the manifest and the other state files beside it that hold a digest of their own.

    Raises:
        ImaxrayError: If neither the folder nor one inside it has the digests of its files.

    Example:
        >>> import tempfile
        >>> from imaxray._common.folders import claim_files, record_claimed
        >>> folder = Path(tempfile.mkdtemp())
        >>> claim_files(folder, ["tasks.csv"], "a measurement", known_by={})
        >>> _ = (folder / "tasks.csv").write_text("1")
        >>> record_claimed(folder)
        >>> _ = (folder / "tasks.csv").write_text("2")
        >>> verify_folder(folder)
        ('.imaxray-written.json', ['tasks.csv'])
    """
    of_itself = _compared(folder)
    changed = [] if of_itself is None else list(of_itself[1])
    compared = 0 if of_itself is None else 1
    for inner in _folders(folder):
        found = _compared(inner)
        compared += found is not None
        names = [] if found is None else found[1]
        if found is None and of_itself is not None:
            names = _changed_states(inner)  # records of finished work, beside what it made
        place = inner.relative_to(folder).as_posix()
        changed += [f"{place}/{name}" for name in names]
    if of_itself is not None and compared == 1:
        return of_itself[0], sorted({*changed})
    if compared:
        return f"the digests in {counted(compared, 'folder')}", sorted({*changed})
    raise ImaxrayError(
        f"Expected a folder that imaxray wrote at {folder}, but it has none of "
        f"{', '.join((*_MANIFESTS, CLAIMED))} with the digests of its files; name a dataset, an "
        "image cache, an export, a shared dataset, a phantom, a finished run, pseudo annotations, "
        "predictions, results, a study, a strategy or an ablation."
    )


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders inside, in order, without links and without temporary ones."""
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.is_dir() and not path.is_symlink() and path.suffix not in _ASIDE:
            yield path
            yield from _folders(path)


def _compared(folder: Path) -> tuple[str, list[str]] | None:
    """Compare a folder with its manifests; None if it has no digests of its files.

    A folder can have several: predictions, and the result that was computed from them.
    """
    named: list[str] = []
    changed: list[str] = []
    for name in _MANIFESTS:
        digests = _digests(folder / name)
        if digests is not None:
            named.append(name)
            changed += changed_files(folder, digests, full=True)
            changed += [name] if _is_of_another(folder, name) else []
        elif (folder / name).is_file() and (is_changed(folder / name) or _is_ours(folder, name)):
            named.append(name)
            changed.append(name)
    if (folder / CLAIMED).is_file():
        named.append(CLAIMED)
        changed += changed_files(folder, claimed_digests(folder), full=True)
        changed += [] if has_claims(folder) else [CLAIMED]
    gone = _missing(folder)
    if not named and not gone:
        return None
    return [*named, MARKER][0], sorted({*changed, *gone, *_changed_states(folder)})


def _digests(manifest: Path) -> dict[str, str] | None:
    """Return the digests of all files that a manifest names; None if it is none, or is damaged."""
    content = known_state(manifest)
    files, of_clocks = content.get("files"), content.get("file_sha256", {})
    if not isinstance(files, dict) or not isinstance(of_clocks, dict):
        return None
    return {str(name): str(digest) for name, digest in {**files, **of_clocks}.items()}


def _is_ours(folder: Path, name: str) -> bool:
    """Tell whether a manifest without digests should have some, since imaxray wrote the folder.

    A state file of that name that holds the digest of its own content is as it was written.
    """
    if DIGEST_KEY in _text(folder / name):
        return False
    if name != _OF_OTHERS and not known_state(folder / name):
        return True
    return any(DIGEST_KEY in _text(folder / hidden) for hidden in (MARKER, CLAIMED))


def _missing(folder: Path) -> list[str]:
    """Return the files of a folder that was written as a whole and that are gone.

    Of a folder that grows, the marker lists folders, too, and files that it may never have.
    """
    if not (folder / MARKER).is_file():
        return []
    marker = read_marker(folder)
    if marker is None:
        return [MARKER]
    if marker.kind in _GROWING:
        return []
    return [n for n in marker.files if n not in _BY_HAND and not os.path.lexists(folder / n)]


def _is_of_another(folder: Path, manifest: str) -> bool:
    """Tell whether a whole manifest is another one than that which was written in this folder."""
    marker = read_marker(folder)
    if marker is None or _IN_MARKER.get(marker.kind) != manifest or not marker.identity:
        return False
    return sha256(folder / manifest) != marker.identity


def _changed_states(folder: Path) -> list[str]:
    """Return the names of the state files of a folder whose content has another digest."""
    states = (p for p in sorted(folder.iterdir()) if p.suffix == ".json" and p.name != MEMORY)
    return [p.name for p in states if p.is_file() and _is_state(p) and is_changed(p)]


def _is_state(path: Path) -> bool:
    """Tell whether imaxray wrote a JSON file with its digest, or the file can no longer be read."""
    text = _text(path)
    return DIGEST_KEY in text or not _is_json(text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
