"""Renames folders: which may give way to a new one, and under which name the old one is kept."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

from imaxray._common.lock import LOCK
from imaxray.errors import ImaxrayError

OLD: Final = ".old"
"""Suffix of an earlier folder while a new one takes its place."""


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


def rename(folder: Path, to: Path) -> None:
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
    rename(folder, to)
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
