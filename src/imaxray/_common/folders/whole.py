"""Writes folders: file by file under a lock, or beside their final place and then renamed.

A folder that is written at once (a dataset, an export, a phantom) appears whole or not at all; the
user's files are moved over to the new folder.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from imaxray._common.digests import MEMORY
from imaxray._common.disk import system_errors
from imaxray._common.files import PART, flush, remove_unfinished, sha256
from imaxray._common.folders.aside import OLD, rename, require_replaceable
from imaxray._common.folders.claimed import CLAIMED
from imaxray._common.folders.marker import (
    MARKER,
    Marker,
    is_free,
    is_hidden_own,
    read_marker,
    remove_listed,
    write_marker,
)
from imaxray._common.lock import sole_writer
from imaxray._common.state import known_state
from imaxray.errors import ImaxrayError


@contextmanager
def growing_folder(folder: Path, inner: Collection[str] = ()) -> Iterator[None]:
    """Hold the lock of a folder that grows file by file, after what killed processes left is gone.

    Args:
        folder: The folder, which is created.
        inner: Names of folders inside it that are written file by file, too.

    Raises:
        ImaxrayError: If another process writes the folder.
    """
    with sole_writer(folder) as alone:
        if alone:
            remove_unfinished([folder, *(folder / name for name in inner)])
        with system_errors(folder):
            yield


@contextmanager
def whole_folder(
    out: Path,
    *,
    manifest: str,
    keys: Collection[str],
    what: str,
    unlisted: Collection[str] = (),
) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``out`` at the end; on an error it is removed.

    Of an earlier folder of the same kind only the files go that its marker lists. All others are
    the user's and are kept.

    Args:
        out: The final folder. An empty folder or an earlier one of the same kind is replaced.
        manifest: Name of the JSON file that the block writes.
        keys: Keys of the manifest in folders that have no marker, since an earlier version wrote
            them; their files are those under its key ``files``.
        what: Name of the kind, which the marker and the error message use.
        unlisted: Files of such folders that their manifest does not list.

    Raises:
        ImaxrayError: If ``out`` contains anything else, if one of the user's files has the name of
            a new file, or if another process writes ``out``.
    """
    out = out.resolve()  # "." has no name to write aside under
    require_replaceable(out)
    with sole_writer(out, beside=True):
        _finish_earlier(out)

        def listed() -> set[str]:
            return _listed(out, manifest, keys, what, unlisted)

        listed()  # refused before the work begins
        aside = _aside(out)
        aside.mkdir(parents=True)
        try:
            with system_errors(out):
                yield aside
            names = list(_files_of(aside))
            write_marker(aside, Marker(what, sha256(aside / manifest), tuple(names)))
            for name in (*names, MARKER):
                if not (aside / name).is_symlink():
                    flush(aside / name)
            files = listed()  # again, since much time has passed
            for name in _foreign(out, files):
                if _clash(out / name, aside / name):
                    raise ImaxrayError(
                        f"Expected to keep your file {name} in {out}, but the new {what} has a "
                        "file of that name; move yours, or choose another folder."
                    )
            old = out.with_name(aside.name.removesuffix(PART) + OLD)
            if out.exists():
                unmarked = read_marker(out) is None
                if unmarked:
                    write_marker(out, Marker(what, "", tuple(files)))  # for a run after a kill
                try:
                    rename(out, old)
                except BaseException:
                    if unmarked:
                        (out / MARKER).unlink(missing_ok=True)
                    raise
            try:
                rename(aside, out)
            except BaseException:
                if old.exists():
                    old.rename(out)
                raise
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        if old.exists():
            _settle(old, out)


def require_place(
    out: Path, *, manifest: str, keys: Collection[str], what: str, unlisted: Collection[str] = ()
) -> None:
    """Check, before long work, that :func:`whole_folder` will take a folder.

    Args:
        out: As for :func:`whole_folder`, like the other arguments.
        manifest: Name of the JSON file.
        keys: Keys of the manifest in folders without a marker.
        what: Name of the kind.
        unlisted: Files of such folders that their manifest does not list.

    Raises:
        ImaxrayError: If ``out`` cannot be replaced, or holds anything else.
    """
    out = out.resolve()
    require_replaceable(out)
    _listed(out, manifest, keys, what, unlisted)


def is_complete(folder: Path, manifest: str, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a folder is there with this manifest and with every file that its marker lists.

    What a process left that was killed right after it finished the folder is removed.

    Args:
        folder: The folder; one that an earlier version wrote has no marker, and no file is missed.
        manifest: Name of its JSON file.
        wanted: Content of that file.

    Raises:
        ImaxrayError: If another process writes the folder.
    """
    folder = folder.resolve()
    if any(_left_beside(folder)) or folder.with_name(f".{folder.name}.lock").exists():
        with sole_writer(folder, beside=True):
            _finish_earlier(folder)
    found = known_state(folder / manifest)
    marker = read_marker(folder)
    files = () if marker is None else marker.files
    return found == dict(wanted) and all(os.path.lexists(folder / name) for name in files)


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out`` for intermediate results, which is removed at the end.

    Raises:
        ImaxrayError: If another process writes ``out``.
    """
    out = out.resolve()
    with sole_writer(out, beside=True):
        _finish_earlier(out)
        aside = _aside(out)
        aside.mkdir(parents=True)
        try:
            with system_errors(out):
                yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _aside(out: Path) -> Path:
    return out.with_name(f".{out.name}.{uuid.uuid4().hex}{PART}")


def _finish_earlier(out: Path) -> None:
    """Finish or undo what a killed process began, which is known by its temporary names."""
    for path in list(_left_beside(out)):
        if path.name.endswith(PART):
            shutil.rmtree(path, ignore_errors=True)
        elif not out.exists():
            path.rename(out)
        else:
            _settle(path, out)


def _left_beside(out: Path) -> Iterator[Path]:
    """Yield the folders beside ``out`` that bear its temporary names."""
    if not out.parent.is_dir():
        return
    ours = re.escape(f".{out.name}.") + r"[0-9a-f]{32}"
    pattern = re.compile(rf"{ours}({re.escape(PART)}|{re.escape(OLD)})")
    for path in sorted(out.parent.iterdir()):
        if pattern.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield path


def _settle(old: Path, out: Path) -> None:
    """Move the user's files from an earlier folder to the new one, and remove the listed ones."""
    marker = read_marker(old)
    files = set() if marker is None else set(marker.files)
    for name in list(_foreign(old, files)):
        if not _clash(old / name, out / name):
            _move(old / name, out / name)
    remove_listed(old, {*files, MARKER, MEMORY, CLAIMED})
    if not any(old.iterdir()):
        old.rmdir()


def _listed(
    out: Path, manifest: str, keys: Collection[str], what: str, unlisted: Collection[str]
) -> set[str]:
    """Return the files of ``out`` that an earlier command wrote.

    Raises:
        ImaxrayError: If ``out`` contains files, but is not of this kind.
    """
    if is_free(out):
        return set()
    marker = read_marker(out)
    if marker is not None and marker.kind == what:
        return set(marker.files)
    content = known_state(out / manifest)
    if marker is None and set(keys) <= content.keys() and isinstance(content.get("files"), dict):
        return {*content["files"], manifest, *unlisted}
    raise ImaxrayError(
        f"Expected an empty folder or an earlier {what} at {out}, but it holds other files; "
        "choose another folder."
    )


def _files_of(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and links below a folder, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def _foreign(folder: Path, files: Collection[str]) -> Iterator[str]:
    """Yield the paths below a folder that are not listed; of a whole folder its path alone."""
    if not folder.is_dir():
        return
    known = set(files)
    parents = {str(parent) for name in files for parent in PurePosixPath(name).parents}

    hidden = {MARKER, *(path.name for path in folder.iterdir() if is_hidden_own(path.name))}

    def walk(inner: Path, prefix: str) -> Iterator[str]:
        for path in sorted(inner.iterdir()):
            name = prefix + path.name
            folder_of_its_own = path.is_dir() and not path.is_symlink()
            if folder_of_its_own and name in parents:
                yield from walk(path, f"{name}/")
            elif folder_of_its_own or not (name in known or name in hidden):
                yield name

    yield from walk(folder, "")


def _clash(mine: Path, new: Path) -> bool:
    """Tell whether moving ``mine`` to ``new`` would replace a file."""
    if not os.path.lexists(new):
        return False
    if all(path.is_dir() and not path.is_symlink() for path in (mine, new)):
        return any(_clash(path, new / path.name) for path in mine.iterdir())
    return True


def _move(mine: Path, new: Path) -> None:
    if os.path.lexists(new):  # both are folders, as nothing clashes
        for path in list(mine.iterdir()):
            _move(path, new / path.name)
        mine.rmdir()
    else:
        new.parent.mkdir(parents=True, exist_ok=True)
        mine.rename(new)
