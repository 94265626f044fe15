"""Pixels of a radiograph: opened safely, as 8-bit grey."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaxray.errors import ImaxrayError

MAX_PIXELS = 100_000_000
"""Refuse larger images (a decompression bomb, not a radiograph)."""

_RAW_SIDE: Final = 2048  # a JSRT .IMG file has no header: pixels only, square
_RAW_BLACK: Final = 4095  # 12 bits in 16, big-endian; optical density, so the greatest is black


def size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone; of a JSRT ``.IMG``, from its length.

    Raises:
        ImaxrayError: the file is missing or no image.
    """
    if _is_raw(path):
        if not path.is_file() or path.stat().st_size != 2 * _RAW_SIDE**2:
            raise _unreadable(path)
        return _RAW_SIDE, _RAW_SIDE
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow reports damage as OSError or, for some PNG chunks, SyntaxError / ValueError.
        raise _unreadable(path) from error


def load(path: Path, *, stretch: bool = False) -> NDArray[np.uint8]:
    """Decode ``path`` whole: ``(height, width)`` uint8 grey.

    16-bit images are scaled from their own range; a JSRT ``.IMG`` (12-bit optical density) from
    its bits, and dense is dark. ``stretch`` maps the 0.5th and 99.5th percentile
    to 0 and 255, for display and for models that expect a full grey range (many archive images are
    dark).

    Raises:
        ImaxrayError: the file is missing, no image, truncated, or beyond MAX_PIXELS.
    """
    if _is_raw(path):
        wide, pixels = False, _raw_grey(path)
    else:
        wide, pixels = _decoded(path)
    if wide or stretch:
        floats = pixels.astype(np.float32)
        low, high = np.percentile(floats, [0.5, 99.5]) if stretch else (floats.min(), floats.max())
        scaled = (floats - low) * (255.0 / max(float(high - low), 1e-6))
        return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)
    grey: NDArray[np.uint8] = pixels.astype(np.uint8, copy=False)
    return grey


def _decoded(path: Path) -> tuple[bool, NDArray[Any]]:
    """Whether a pixel has more than 8 bits, and the pixels."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _unreadable(path)
            wide = image.mode.startswith(("I", "F"))
            return wide, np.asarray(image if wide else image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path) from error


def _is_raw(path: Path) -> bool:
    return path.suffix.lower() == ".img"


def _raw_grey(path: Path) -> NDArray[Any]:
    width, height = size(path)
    density = np.fromfile(path, dtype=">u2").reshape(height, width)
    if density.max() > _RAW_BLACK:
        raise _unreadable(path)  # the bytes of a pixel are swapped, or it is another format
    return np.asarray((_RAW_BLACK - density.astype(np.uint32)) * 255 // _RAW_BLACK, dtype=np.uint8)


def _unreadable(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable image of at most {MAX_PIXELS:,} pixels at {path}, but it is missing "
        "or damaged; fetch it again or remove its row."
    )
