"""Reads the pixels of a DICOM image as they are meant to be displayed (PS3.3 C.11)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imaxray.dicom.elements import number, text
from imaxray.dicom.pixels import decoded

_FAR: Final = 1e12  # beyond any pixel value

# some files have a window of width 0 or an inconsistent LUT; these are ignored
_BROKEN: Final = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError,
)  # fmt: skip


def read_grey(path: Path, *, most: int) -> NDArray[np.uint8]:
    """Decode the image of ``path`` as ``(height, width)`` uint8, black to white as displayed.

    The steps follow PS3.3 C.11: the modality LUT or rescale, then the first VOI LUT, or else the
    first window. The output range is mapped to 0-255, and MONOCHROME1 is inverted, so that dense
    tissue is white. Without a VOI LUT or window, an 8-bit image is left unchanged, and a deeper
    image is scaled from its own range without its padding, as 16-bit PNG files are.

    Args:
        path: The DICOM file.
        most: Maximum number of pixels; a larger image is refused before it is decoded.

    Raises:
        ImaxrayError: pydicom is not installed; or the file is missing, damaged, not DICOM or not
            one grey image; or its pixel data is damaged or shorter than the header says.
    """
    with decoded(path, most) as (stored, data, inverted):
        grey = _displayed(stored, data)
        return 255 - grey if inverted else grey


def read_deep(path: Path, *, most: int) -> tuple[NDArray[Any], float, float, bool]:
    """Decode the image of ``path`` at its full depth, after the modality LUT or rescale.

    Args:
        path: The DICOM file.
        most: Maximum number of pixels; a larger image is refused before it is decoded.

    Returns:
        The values ``(height, width)``; the values that the first VOI LUT or window displays black
        and white, or else the ends of the image's own range without its padding; and whether black
        and white are exchanged (MONOCHROME1). A VOI LUT or window function that is not linear is
        described by the ends of its range.

    Raises:
        ImaxrayError: As :func:`read_grey`.
    """
    from pydicom.pixels.processing import apply_modality_lut

    with decoded(path, most) as (stored, data, inverted):
        values: NDArray[Any] = apply_modality_lut(stored, data)
        ends = _displayed_range(data)
        if ends is None and stored.dtype == np.uint8 and number(data, "BitsStored", 8) == 8:
            ends = (0.0, 255.0) if _is_plain(data) else None
        if ends is None:
            real = values[~_padding(stored, data)]
            ends = (float(real.min()), float(real.max())) if real.size else (0.0, 0.0)
        return values, *ends, inverted


def _displayed(stored: NDArray[Any], data: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut

    values: NDArray[Any] = apply_modality_lut(stored, data)
    voi = _voi(values, data)
    if voi is not None:
        seen, low, high = voi
    elif stored.dtype == np.uint8 and number(data, "BitsStored", 8) == 8 and _is_plain(data):
        return stored
    else:
        seen = values
        real = values[~_padding(stored, data)]
        low, high = (float(real.min()), float(real.max())) if real.size else (0.0, 0.0)
    scaled = (seen.astype(np.float64) - low) * (255.0 / (high - low) if high != low else 0.0)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _voi(values: NDArray[Any], data: Any) -> tuple[NDArray[Any], float, float] | None:
    """Apply the first VOI LUT or window; return the values, and its output for black and white."""
    from pydicom.pixels.processing import apply_voi, apply_windowing

    if data.get("VOILUTSequence"):
        with contextlib.suppress(*_BROKEN):
            first = int(data.VOILUTSequence[0].LUTDescriptor[1])
            table = np.asarray(apply_voi(np.arange(first, first + 2**16), data))
            if table.min() != table.max():
                return apply_voi(values, data), float(table.min()), float(table.max())
    if data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        with contextlib.suppress(*_BROKEN), np.errstate(over="ignore"):
            ends = apply_windowing(np.array([-_FAR, _FAR]), data)
            if ends[0] != ends[1]:
                return apply_windowing(values, data), float(ends[0]), float(ends[1])
    return None


def _displayed_range(data: Any) -> tuple[float, float] | None:
    """Return the values that the first VOI LUT or window displays black and white (C.11.2)."""
    with contextlib.suppress(*_BROKEN):
        if data.get("VOILUTSequence"):
            count, first, _ = map(int, data.VOILUTSequence[0].LUTDescriptor)
            return float(first), float(first + (count or 2**16) - 1)
    with contextlib.suppress(*_BROKEN):
        centre, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
        if text(data, "VOILUTFunction").upper() in ("", "LINEAR"):
            centre, width = centre - 0.5, width - 1
        if width > 0:
            return centre - width / 2, centre + width / 2
    return None


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__getitem__") else value)


def _padding(stored: NDArray[Any], data: Any) -> NDArray[np.bool_]:
    """Return the mask of the pixels that are padding, not image (Pixel Padding Value)."""
    first = data.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    last = data.get("PixelPaddingRangeLimit")
    low, high = sorted((int(first), int(first if last is None else last)))
    return np.asarray((stored >= low) & (stored <= high))


def _is_plain(data: Any) -> bool:
    slope = data.get("RescaleSlope")
    return not data.get("ModalityLUTSequence") and (slope is None or float(slope) > 0)
