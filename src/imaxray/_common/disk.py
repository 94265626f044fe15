"""Recognises a full disk and other errors of the system in what libraries raise instead of them.

Polars, safetensors and torch write files themselves. When the disk is full they raise errors of
their own, with texts such as "Invalid thrift: transport error" or "unexpected pos", which tell a
user nothing.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imaxray.errors import ImaxrayError

_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")
_FULL: Final = 64 * 1024  # bytes; less than the smallest buffer that the libraries write at once


@contextmanager
def system_errors(folder: Path) -> Iterator[None]:
    """Raise an ``OSError`` for an error of the system that a library words in its own way.

    Args:
        folder: Folder that the block writes into; it need not exist.

    Raises:
        OSError: If the block raised an error whose text names an error of the system, or raised
            anything but an ``ImaxrayError`` or a complete ``OSError`` while the disk was full.

    Example:
        >>> with system_errors(Path(".")):
        ...     raise RuntimeError("failed: No space left on device (os error 28)")
        Traceback (most recent call last):
        ...
        OSError: [Errno 28] No space left on device: '.'
    """
    try:
        yield
    except ImaxrayError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        found = _OS_ERROR.search(str(error))
        number = int(found[1]) if found else errno.ENOSPC if _is_full(folder) else None
        if number is None:
            raise
        raise OSError(number, os.strerror(number), os.fspath(folder)) from error


def _is_full(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        about = os.statvfs(folder)
    except (OSError, AttributeError):  # Windows has no statvfs
        return False
    return about.f_bavail * about.f_frsize < _FULL
