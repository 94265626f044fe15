"""Finds the folder of a release inside a folder that was given in its place."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from imaxray.errors import ImaxrayError

_DEEPEST: Final = 4  # levels; wget makes physionet.org/files/NAME/VERSION
_HOST: Final = "physionet.org"  # wget's folder of the host holds releases and is none itself
_FOLDERS: Final = 100  # folders that are tried
_ENTRIES: Final = 500  # entries of a folder that are looked at; folders of images have more


def inner_release(check: Callable[[Path], object], root: Path) -> Path | None:
    """Return the first folder inside ``root`` that passes ``check``, or None if none does.

    An archive that is unpacked, and a download by wget, put the release some levels below the
    folder that a user has in mind. Folders are tried level by level, and only a limited number.

    Args:
        check: Function that raises an ImaxrayError for a folder that holds no release.
        root: Folder that holds no release itself.
    """
    waiting = deque([(root, 0)])
    tried = 0
    while waiting and tried < _FOLDERS:
        folder, level = waiting.popleft()
        try:
            with os.scandir(folder) as entries:
                inside = list(islice(entries, _ENTRIES))
        except OSError:
            continue
        folders = sorted(entry.name for entry in inside if entry.is_dir(follow_symlinks=False))
        if level and inside and folder.name != _HOST:
            tried += 1
            try:
                check(folder)
            except ImaxrayError:
                pass
            else:
                return folder
        if level < _DEEPEST:
            waiting.extend((folder / name, level + 1) for name in folders)
    return None
