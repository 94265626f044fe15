"""Compares every file of a folder that imaxray wrote with the digests in the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from imaxray._common.digests import changed_files
from imaxray._common.files import PART, sha256
from imaxray._common.folders import CLAIMED, MARKER, claimed_digests, read_marker
from imaxray._common.printing import counted
from imaxray._common.state import is_changed, known_state
from imaxray.errors import ImaxrayError

_MANIFESTS: Final = (
    "manifest.json", "export.json", "run.json", "annotate.json", "predictions.json", "share.json",
)  # fmt: skip
_IN_MARKER: Final = {
    "dataset": "manifest.json", "export": "export.json", "shared dataset": "share.json",
}  # fmt: skip
"""Kinds of folders whose marker holds the digest of their manifest."""

_ASIDE: Final = (PART, ".old")


def verify_folder(folder: Path) -> tuple[str, list[str]]:
    """Read every file of a folder and compare it with the folder's manifest.

    Args:
        folder: A dataset, an image cache, an export, a shared dataset, a run, pseudo annotations or
            predictions; or a folder of results (of score, compare or dynamics), or of a study, a
            strategy or an ablation, whose folders inside are compared, too.

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
    if of_itself is not None and of_itself[0] != CLAIMED:
        return of_itself
    changed = [] if of_itself is None else list(of_itself[1])
    compared = 0 if of_itself is None else 1
    for inner in _folders(folder):
        found = _compared(inner)
        if found is not None:
            compared += 1
            place = inner.relative_to(folder).as_posix()
            changed += [f"{place}/{name}" for name in found[1]]
    if of_itself is not None and compared == 1:
        return of_itself
    if compared:
        return f"the digests in {counted(compared, 'folder')}", sorted(changed)
    raise ImaxrayError(
        f"Expected a folder that imaxray wrote at {folder}, but it has none of "
        f"{', '.join((*_MANIFESTS, CLAIMED))} with the digests of its files; name a dataset, an "
        "image cache, an export, a shared dataset, a finished run, pseudo annotations, "
        "predictions, results, a study, a strategy or an ablation."
    )


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders inside, in order, without links and without temporary ones."""
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.is_dir() and not path.is_symlink() and path.suffix not in _ASIDE:
            yield path
            yield from _folders(path)


def _compared(folder: Path) -> tuple[str, list[str]] | None:
    """Compare a folder with its manifest; None if it has no digests of its files."""
    for name in _MANIFESTS:
        try:
            files = known_state(folder / name)["files"]
            digests = {str(file): str(digest) for file, digest in files.items()}
        except (KeyError, AttributeError):
            if is_changed(folder / name) and (folder / name).is_file():
                return name, _changed_states(folder)
            continue
        changed = changed_files(folder, digests, full=True)
        of_another = [name] if _is_of_another(folder, name) else []
        return name, sorted({*changed, *of_another, *_changed_states(folder)})
    if (folder / CLAIMED).is_file():
        changed = changed_files(folder, claimed_digests(folder), full=True)
        return CLAIMED, sorted({*changed, *_changed_states(folder)})
    return None


def _is_of_another(folder: Path, manifest: str) -> bool:
    """Tell whether a whole manifest is another one than that which was written in this folder."""
    marker = read_marker(folder)
    if marker is None or _IN_MARKER.get(marker.kind) != manifest or not marker.identity:
        return False
    return sha256(folder / manifest) != marker.identity


def _changed_states(folder: Path) -> list[str]:
    """Return the names of the state files of a folder whose content has another digest."""
    listed = known_state(folder / MARKER).get("files", [])
    names = {*_MANIFESTS, MARKER, CLAIMED, "result.json", *map(str, listed)}
    return sorted(
        name
        for name in names
        if name.endswith(".json") and (folder / name).is_file() and is_changed(folder / name)
    )
