"""Lists in each folder what a command wrote there; only what is listed is ever removed.

A hidden file in the folder, the marker, names the kind of the folder and lists the files that the
command wrote. Everything else in the folder belongs to the user. A folder that is written at once
(a dataset, an export, a phantom) is written beside its final place and then renamed; the user's
files are moved over to the new folder.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from imaxray._common.digests import MEMORY
from imaxray._common.disk import system_errors
from imaxray._common.files import PART, flush, is_unfinished, remove_unfinished, sha256
from imaxray._common.lock import LOCK, sole_writer
from imaxray._common.state import known_state, write_state
from imaxray.errors import ImaxrayError

MARKER: Final = ".imaxray.json"
"""Name of the marker in a folder."""

OLD: Final = ".old"
"""Suffix of an earlier folder while a new one takes its place."""


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


def require_other_folder(out: Path, *inputs: Path) -> None:
    """Check that the folder to write is none of the folders that are read for it.

    Args:
        out: Folder to write.
        inputs: Folders that are read.

    Raises:
        ImaxrayError: If ``out`` is one of ``inputs`` or contains one.
    """
    target = out.resolve()
    for folder in inputs:
        source = folder.resolve()
        if target == source or target in source.parents:
            raise ImaxrayError(
                f"Expected a folder of its own to write, but {out} and the input {folder} share "
                "files; choose another --out."
            )


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


def is_free(folder: Path) -> bool:
    """Tell whether a folder is absent, or empty but for what a killed process left."""
    if not os.path.lexists(folder):
        return True
    return folder.is_dir() and all(_is_hidden_own(path.name) for path in folder.iterdir())


def _is_hidden_own(name: str) -> bool:
    return name in (LOCK, MEMORY) or is_unfinished(name)


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


def require_replaceable(out: Path) -> None:
    """Check that a folder can be replaced by a new one of the same name.

    Raises:
        ImaxrayError: If ``out`` is a file, the place of a mounted volume, or the current folder or
            one around it.
    """
    if out.exists() and not out.is_dir():
        raise ImaxrayError(
            f"Expected a folder to write at {out}, but there is a file; choose another folder."
        )
    if out.is_mount():
        raise _not_replaceable(out)
    here = Path.cwd()
    if out == here or out in here.parents:
        raise ImaxrayError(
            f"Expected a folder that can be replaced, but {out} is the current folder or one "
            "around it; name a folder inside the current one."
        )


def _not_replaceable(folder: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a folder that can be replaced, but {folder} is the place of a mounted volume, "
        f"which cannot be renamed; name a folder inside it, such as {folder / 'out'}."
    )


def _rename(folder: Path, to: Path) -> None:
    """Rename a folder.

    Raises:
        ImaxrayError: If one of the two is the place of a mounted volume, or both lie on two disks.
    """
    try:
        folder.rename(to)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        raise _not_replaceable(folder if is_old(to) else to) from error


def is_old(folder: Path) -> bool:
    """Tell whether a path is one to which an earlier folder is moved."""
    return OLD in folder.suffixes or re.fullmatch(r".*\.old-\d+", folder.name) is not None


def move_aside(folder: Path) -> Path:
    """Rename a folder to ``NAME.old-1``, or the next number that is free, and return that path.

    If the folder is locked, the lock stays at its place, in an empty folder.
    """
    folder, to = folder.resolve(), next_aside(folder)
    _rename(folder, to)
    if (to / LOCK).exists():
        folder.mkdir()
        (to / LOCK).rename(folder / LOCK)
    return to


def next_aside(folder: Path) -> Path:
    """Return the path that :func:`move_aside` would rename a folder to."""
    folder = folder.resolve()
    number = 1
    while os.path.lexists(to := folder.with_name(f"{folder.name}.old-{number}")):
        number += 1
    return to


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
                    _rename(out, old)
                except BaseException:
                    if unmarked:
                        (out / MARKER).unlink(missing_ok=True)
                    raise
            try:
                _rename(aside, out)
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
    remove_listed(old, {*files, MARKER, MEMORY})
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

    hidden = {MARKER, *(path.name for path in folder.iterdir() if _is_hidden_own(path.name))}

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
