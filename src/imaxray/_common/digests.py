"""Compares files with their digests, and remembers by size and time which were compared already.

The memory is a hidden file in the folder itself. It is no part of the folder's content, and a
folder that cannot be written has none: its files are then read each time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from imaxray._common.files import sha256, whole_file, write_text
from imaxray._common.state import known_state, write_state

MEMORY: Final = ".imaxray-digests.json"
"""Name of the file that remembers the digests of a folder's files."""

DIGEST: Final = ".sha256"
"""Suffix of a file that holds the digest of the file beside it."""

_RECENT: Final = 2 * 10**9  # nanoseconds; a file could change again with the same time


_always = False


def always_read(always: bool) -> None:
    """Let this process read every file that it compares, whatever is remembered of the file.

    Worker processes follow what this process remembers, since it compared the files before.
    """
    global _always
    _always = always


def changed_files(folder: Path, files: Mapping[str, str], *, full: bool | None = None) -> list[str]:
    """Return the names of the files that are missing or have another content, in order.

    Args:
        folder: Folder of the files.
        files: SHA-256 hex digest of each file, by its path in the folder.
        full: Whether every file is read, even if its size and its time are those that are
            remembered; None: as :func:`always_read` says.
    """
    known = known_state(folder / MEMORY)
    trusted = {} if (_always if full is None else full) else known
    remembered = {name: found for name, found in known.items() if name not in files}
    changed = []
    for name, digest in files.items():
        path = folder / name
        try:
            before = path.stat()
            stamp = [before.st_size, before.st_mtime_ns]
            found = trusted.get(name)
            if not (isinstance(found, list) and found[:2] == stamp and len(found) == 3):
                found = [*stamp, sha256(path)]
        except OSError:
            changed.append(name)
            continue
        if found[2] != digest:
            changed.append(name)  # never remembered, as a backup may restore size and time, too
        elif time.time_ns() - before.st_mtime_ns > _RECENT:
            remembered[name] = found
    if remembered != known:
        with suppress(OSError):
            write_state(folder / MEMORY, remembered, sort_keys=True)
    return changed


def model_digest(files: Mapping[str, str]) -> str:
    """Return the SHA-256 hex digest of a model from those of its files.

    Weights (safetensors) and configurations (JSON) decide. Hidden files are no part of a model:
    there imaxray remembers which digests it compared.

    Args:
        files: SHA-256 hex digest of each file in the model's folder, by its name.
    """
    whole = hashlib.sha256()
    for suffix in (".safetensors", ".json"):
        for name in sorted(files):
            if name.endswith(suffix) and not name.startswith("."):
                whole.update(f"{name} {files[name]}".encode())
    return whole.hexdigest()


@contextmanager
def whole_file_with_digest(path: Path) -> Iterator[Path]:
    """Yield a temporary path as :func:`whole_file`, and write the digest of its file beside it.

    The digest is written first, so that :func:`is_as_written` knows the file from its first moment.
    The caller removes the digests when a manifest holds them.
    """
    with whole_file(path) as aside:
        yield aside
        write_text(digest_file(path), sha256(aside))


def is_as_written(path: Path) -> bool:
    """Tell whether a file is there as :func:`whole_file_with_digest` wrote it.

    Example:
        >>> import tempfile
        >>> part = Path(tempfile.mkdtemp()) / "part.csv"
        >>> with whole_file_with_digest(part) as aside:
        ...     _ = aside.write_text("1,2")
        >>> is_as_written(part)
        True
        >>> _ = part.write_text("1,3")
        >>> is_as_written(part)
        False
    """
    try:
        return digest_file(path).read_text() == sha256(path)
    except (OSError, ValueError):
        return False


def digest_file(path: Path) -> Path:
    """Return the path of the file that holds the digest of ``path``."""
    return path.with_suffix(DIGEST)
