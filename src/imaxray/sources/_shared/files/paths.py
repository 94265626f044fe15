"""Finds the files of a release, and keeps paths of its tables inside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from imaxray._common.files import sha256
from imaxray.errors import ImaxrayError
from imaxray.sources._shared.records import ReleaseFile

_MAX_SHOWN = 400  # characters of a file's text that an error message quotes
_OUTSIDE = r"^[/\\]|^(?:\.[/\\]+)*[^/\\]*:|(?:^|[/\\])\.\.(?:[/\\]|$)"


def require_root(root: Path, source: str) -> Path:
    """Return ``root`` if it is a folder.

    Raises:
        ImaxrayError: If ``root`` is no folder.
    """
    if not root.is_dir():
        raise ImaxrayError(
            f"Expected the {source} release as a folder at {root}, but there is none; give the "
            "folder that holds the files as downloaded."
        )
    return root


def find_file(root: Path, candidates: Sequence[str], source: str) -> Path:
    """Return the first of ``candidates`` (paths inside the release) that exists under ``root``.

    Raises:
        ImaxrayError: If none of the candidates exists.
    """
    require_root(root, source)
    for candidate in candidates:
        path = root / candidate
        if path.is_file():
            return path
    raise ImaxrayError(
        f"Expected {' or '.join(candidates)} in the {source} release at {root}, but found none of "
        "them; download the file or correct the path."
    )


def relative(path: Path, root: Path) -> str:
    """Return ``path`` relative to the folder of the release, with forward slashes."""
    return path.relative_to(root).as_posix()


def exists(path: Path) -> bool:
    """Return whether ``path`` is a file; a name that no file can have gives False."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long or contains a NUL character
        return False


def is_inside(path: str) -> bool:
    """Return whether a path from a source table stays inside its release.

    Example:
        >>> is_inside("files/p10/image.jpg"), is_inside("../secret.jpg"), is_inside("/etc/passwd")
        (True, False, False)
    """
    pure = PurePosixPath(path.replace("\\", "/"))
    drive = bool(pure.parts) and ":" in pure.parts[0]  # C:/x leaves the release on Windows
    return not pure.is_absolute() and not drive and ".." not in pure.parts


def find_image(root: Path, path: str | None) -> Path | None:
    """Return the file of an image in its release; ``None`` if the path leads out of the release.

    Every stage that opens images of a dataset asks here. A link leads out if its target lies
    outside ``root``, even if its name does not show it.

    Args:
        root: Folder of the release; it may be a link itself.
        path: Path in the release, from a table.
    """
    if not path or "\0" in path or not is_inside(path):
        return None
    file = root / path
    real = os.path.realpath(root)
    inside = os.path.realpath(file).startswith(real.rstrip(os.sep) + os.sep)
    return file if inside else None


def leaves_release(column: str) -> pl.Expr:
    """Return whether each path of a column leaves its release (see :func:`is_inside`)."""
    return pl.col(column).str.contains(_OUTSIDE)


def release_file(path: Path, root: Path, source: str, rows: int) -> ReleaseFile:
    """Describe a file that was read: its path inside the release, its rows and fingerprint."""
    return ReleaseFile(source, relative(path, root), rows, sha256(path))


def shown(text: str) -> str:
    """Make the text of a file fit for an error message: printable, one line, cut if long."""
    line = "".join(c if c.isprintable() else "?" for c in text[:_MAX_SHOWN])
    return f"{line} …" if len(text) > _MAX_SHOWN else line
