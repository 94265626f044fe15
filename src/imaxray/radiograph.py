"""Reads radiographs safely as grey pixels: DICOM, PNG, JPEG, TIFF, BMP and WebP."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from imaxray import dicom
from imaxray._common.files import require_file
from imaxray.errors import ImaxrayError
from imaxray.geometry import Letterbox

MAX_PIXELS: Final = 100_000_000
"""Maximum number of pixels; a larger image is a decompression bomb, not a radiograph."""

FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Formats that are decoded. A file of another format is damaged, whatever its name says: Pillow's
other decoders are seldom used, and that of EPS starts another program."""

Readable = Path | NDArray[np.uint8]
"""Input of :func:`load`: a file, or pixels that were decoded before (in an image cache)."""

IMAGE_CODES = {
    "path-outside-release": "the path leaves the release folder",
    "missing-image": "the image file is not there",
    "unreadable-image": "the image file is damaged",
    "size-mismatch": "the image has another size than its table says",
}
"""Reject codes of images, and their messages."""

# EXIF orientation → the operation that turns the stored pixels upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# Pillow raises these on damaged files: mostly OSError; single chunks and tags raise the others.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error, UnidentifiedImageError, Image.DecompressionBombError,
)  # fmt: skip

_GREATEST: Final = 65535.0  # of 16 bits
_RAW_SIDE: Final = 2048  # a JSRT .IMG file has no header: pixels only, square
_RAW_BLACK: Final = 4095  # 12 bits in 16, big-endian; optical density, so the greatest is black


def open_image(source: Path | IO[bytes]) -> Image.Image:
    """Open an image with one of the decoders of FORMATS; no other part of imaxray opens images.

    Raises:
        UnidentifiedImageError: The content has another format, or there is no file but a pipe or a
            device.
    """
    if isinstance(source, Path):
        try:
            require_file(source)
        except ImaxrayError as error:
            raise UnidentifiedImageError(str(error)) from error
    return Image.open(source, formats=FORMATS)


def size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels of what :func:`load` returns, from the header alone.

    A JSRT ``.IMG`` file has no header; its length is checked instead.

    Raises:
        ImaxrayError: The file is missing or not an image, or it is DICOM and pydicom is not
            installed.
    """
    if _is_raw(path):
        if not path.is_file() or path.stat().st_size != 2 * _RAW_SIDE**2:
            raise _unreadable(path)
        return _RAW_SIDE, _RAW_SIDE
    if dicom.is_dicom(path):
        header = dicom.read_header(path)
        if header.width < 1 or header.height < 1:
            raise _unreadable(path)
        return header.width, header.height
    try:
        with open_image(path) as image:
            width, height = image.size
            return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)
    except _DAMAGE as error:
        raise _unreadable(path) from error


def load(
    image: Readable, *, stretch: bool = False, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode a whole image to ``(height, width)`` uint8 grey, upright (EXIF orientation).

    A 16-bit image is scaled from its own range. A DICOM image is decoded as
    :func:`imaxray.dicom.read_grey` describes: its window is applied, and MONOCHROME1 is inverted.
    A JSRT ``.IMG`` file (12-bit optical density) is scaled from its 12 bits, with high density
    dark.

    Args:
        image: Image file, or decoded pixels ``(height, width)`` uint8, which are used as they are.
        stretch: Whether to map the 0.5th and 99.5th percentile to 0 and 255, for display and for
            models that expect a full grey range (many archive images are dark).
        max_pixels: Maximum number of pixels of an image file.

    Raises:
        ImaxrayError: The file is missing, not an image, truncated, or has more than ``max_pixels``
            pixels; or it is DICOM and pydicom is not installed.
    """
    pixels, wide = (image, False) if isinstance(image, np.ndarray) else _decode(image, max_pixels)
    if wide or stretch:
        floats = pixels.astype(np.float32)
        low, high = np.percentile(floats, [0.5, 99.5]) if stretch else (floats.min(), floats.max())
        scaled = (floats - low) * (255.0 / max(float(high - low), 1e-6))
        return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)
    grey: NDArray[np.uint8] = pixels.astype(np.uint8, copy=False)
    return grey


@dataclass(frozen=True)
class DeepImage:
    """Holds an image at the full depth of its file, and how it is meant to be displayed.

    Attributes:
        pixels: ``(height, width)``, upright.
        low: Value that is displayed black.
        high: Value that is displayed white.
        inverted: Whether black and white are exchanged (MONOCHROME1, optical density).
        slope: Number by which a value is multiplied to get that of the file, after its own
            rescaling (DICOM's modality LUT).
        offset: Number that is then added.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    low: float
    high: float
    inverted: bool = False
    slope: float = 1.0
    offset: float = 0.0


def load_deep(path: Path, *, max_pixels: int = MAX_PIXELS) -> DeepImage:
    """Decode an image at the full depth of its file: 8 bits, or up to 16.

    Displayed linearly from ``low`` to ``high``, the image looks as :func:`load` returns it, except
    for DICOM files whose look-up table is not linear.

    Args:
        path: Image file.
        max_pixels: Maximum number of pixels.

    Raises:
        ImaxrayError: As :func:`load`.
    """
    if _is_raw(path):
        return DeepImage(_raw_density(path), 0.0, float(_RAW_BLACK), inverted=True)
    if dicom.is_dicom(path):
        return _sixteen_bits(*dicom.read_deep(path, most=max_pixels))
    pixels, wide = _decode(path, max_pixels)
    if not wide:
        return DeepImage(pixels.astype(np.uint8, copy=False), 0.0, 255.0)
    return _sixteen_bits(pixels)


def pad_to_square(image: Image.Image, colour: int | tuple[int, ...]) -> Image.Image:
    """Return ``image`` centred on a square of its longer side, the frame of :class:`Letterbox`."""
    frame = Letterbox().frame(image.width, image.height)
    square = Image.new(image.mode, (int(frame.width), int(frame.height)), colour)
    square.paste(image, (int(frame.offset[0]), int(frame.offset[1])))
    return square


def load_checked(
    path: Path | None, width: int, height: int
) -> tuple[NDArray[np.uint8], None] | tuple[None, str]:
    """Return the pixels of an image (:func:`load`), or the code of IMAGE_CODES for its fault.

    Args:
        path: Image file; ``None`` if the path leaves its release.
        width: Width in pixels that the table states.
        height: Height in pixels that the table states.
    """
    if path is None:
        return None, "path-outside-release"
    if not path.is_file():
        return None, "missing-image"
    try:
        pixels = load(path)
    except ImaxrayError:
        return None, "unreadable-image"
    return (pixels, None) if pixels.shape == (height, width) else (None, "size-mismatch")


def _decode(path: Path, most: int) -> tuple[NDArray[Any], bool]:
    """Return the upright pixels of a file, and whether they have more than 8 bits."""
    require_file(path)
    if _is_raw(path):
        return _raw_grey(path), False
    if dicom.is_dicom(path):
        return dicom.read_grey(path, most=most), False
    try:
        # a stream, not a path: given a path, Pillow memory-maps uncompressed TIFFs, and it reads
        # TIFFs that lie sideways wrongly
        with path.open("rb") as stream, open_image(stream) as image:
            if image.width * image.height > most:
                raise _unreadable(path, most)
            turn = _UPRIGHT.get(_orientation(image))
            wide = image.mode.startswith(("I", "F"))
            grey = image if wide or image.mode == "L" else image.convert("L")
            return np.asarray(grey if turn is None else grey.transpose(turn)), wide
    except _DAMAGE as error:
        raise _unreadable(path) from error


def _sixteen_bits(
    values: NDArray[Any],
    low: float | None = None,
    high: float | None = None,
    inverted: bool = False,
) -> DeepImage:
    """Store values in 16 bits; whole numbers stay exact if their range allows it."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    least, greatest = float(values.min()), float(values.max())
    whole = values.dtype.kind in "iub" or bool((values == np.rint(values)).all())
    slope, offset = 1.0, 0.0 if least >= 0 and greatest <= _GREATEST else least
    if not whole or greatest - offset > _GREATEST:
        slope, offset = max(greatest - least, 1e-6) / _GREATEST, least
    pixels = np.rint((values.astype(np.float64) - offset) / slope).astype(np.uint16)
    return DeepImage(
        pixels,
        ((least if low is None else low) - offset) / slope,
        ((greatest if high is None else high) - offset) / slope,
        inverted,
        slope,
        offset,
    )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation that the header states; 1 if the pixels are upright.

    A PNG file may state it after the pixels; this is ignored everywhere, because the size must come
    from the header. TIFF files are turned by Pillow itself.
    """
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _is_raw(path: Path) -> bool:
    return path.suffix.lower() == ".img"


def _raw_grey(path: Path) -> NDArray[Any]:
    density = _raw_density(path)
    return np.asarray((_RAW_BLACK - density.astype(np.uint32)) * 255 // _RAW_BLACK, dtype=np.uint8)


def _raw_density(path: Path) -> NDArray[np.uint16]:
    width, height = size(path)
    density = np.fromfile(path, dtype=">u2").reshape(height, width)
    if density.max() > _RAW_BLACK:
        raise _unreadable(path)  # the bytes of a pixel are swapped, or it is another format
    return density.astype(np.uint16)


def _unreadable(path: Path, most: int = MAX_PIXELS) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable image of at most {most:,} pixels at {path}, but it is missing, "
        "damaged or of another format than PNG, JPEG, TIFF, BMP, WebP and DICOM; fetch it again "
        "or remove its row."
    )
