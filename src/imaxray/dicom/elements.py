"""Tells DICOM files from others, and reads single elements of one."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from imaxray._common.files import require_file
from imaxray.errors import ImaxrayError

SUFFIXES: Final = (".dcm", ".dicom")
"""File endings that mark a DICOM file even where the preamble is missing."""

_MAGIC: Final = b"DICM"


def require_dicom() -> None:
    """Raise a one-sentence error unless the extra ``dicom`` is installed."""
    if importlib.util.find_spec("pydicom") is None:
        raise ImaxrayError(
            "Expected the package pydicom to read DICOM files, but it is not installed; run pip "
            "install 'imaxray[dicom]'."
        )


def is_dicom(path: Path) -> bool:
    """Return whether ``path`` is marked as DICOM, by its preamble or else by its ending."""
    return has_preamble(path) or path.suffix.lower() in SUFFIXES


def has_preamble(path: Path) -> bool:
    """Return whether ``path`` starts with the preamble of PS3.10: 128 bytes, then ``DICM``."""
    try:
        require_file(path)
        with path.open("rb") as stream:
            return stream.read(132)[128:] == _MAGIC
    except (OSError, ValueError, ImaxrayError):  # a name with a NUL raises ValueError
        return False


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every error in the block into one ImaxrayError, and silence pydicom's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImaxrayError:
            raise
        except Exception as error:  # damage makes pydicom and its decoders raise anything
            raise ImaxrayError(
                f"Expected a readable DICOM file at {path}, but it is missing or damaged; fetch it "
                "again or remove its row."
            ) from error


def text(data: Any, name: str) -> str:
    """Return an element as text without padding; an absent one is empty."""
    value = data.get(name)
    return "" if value is None else str(value).replace("\x00", "").strip()


def number(data: Any, name: str, absent: int) -> int:
    """Return an element that is a number of at most nine digits, or else ``absent``."""
    written = text(data, name)
    return int(written) if re.fullmatch(r"\d{1,9}", written) else absent
