"""Pixels of a radiograph: opened safely, as 8-bit grey; DICOM, PNG, JPEG and what Pillow reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imaxray import dicom
from imaxray.errors import ImaxrayError

MAX_PIXELS = 100_000_000
"""Refuse larger images (a decompression bomb, not a radiograph)."""


def size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        ImaxrayError: the file is missing or no image, or it is DICOM and pydicom is not installed.
    """
    if dicom.is_dicom(path):
        header = dicom.read_header(path)
        if header.width < 1 or header.height < 1:
            raise _unreadable(path)
        return header.width, header.height
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _unreadable(path) from error


def load(path: Path, *, stretch: bool = False) -> NDArray[np.uint8]:
    """Decode ``path`` whole: ``(height, width)`` uint8 grey.

    16-bit images are scaled from their own range, DICOM images as :func:`imaxray.dicom.read_grey`
    says: window applied, MONOCHROME1 turned. ``stretch`` maps the 0.5th and 99.5th percentile
    to 0 and 255, for display and for models that expect a full grey range (many archive images are
    dark).

    Raises:
        ImaxrayError: the file is missing, no image, truncated, or beyond MAX_PIXELS; or it is DICOM
            and pydicom is not installed.
    """
    pixels, wide = (
        (dicom.read_grey(path, most=MAX_PIXELS), False) if dicom.is_dicom(path) else _open(path)
    )
    if wide or stretch:
        floats = pixels.astype(np.float32)
        low, high = np.percentile(floats, [0.5, 99.5]) if stretch else (floats.min(), floats.max())
        scaled = (floats - low) * (255.0 / max(float(high - low), 1e-6))
        return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)
    grey: NDArray[np.uint8] = pixels.astype(np.uint8, copy=False)
    return grey


def _open(path: Path) -> tuple[NDArray[Any], bool]:
    """Pixels as Pillow has them, and whether they are wider than 8 bits."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _unreadable(path)
            wide = image.mode.startswith(("I", "F"))
            return np.asarray(image if wide else image.convert("L")), wide
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        # Pillow reports damage as OSError or, for some PNG chunks, SyntaxError / ValueError.
        raise _unreadable(path) from error


def _unreadable(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable image of at most {MAX_PIXELS:,} pixels at {path}, but it is missing "
        "or damaged; fetch it again or remove its row."
    )
