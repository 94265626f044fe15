"""Prepares images for a chat server, in the frame that the box convention refers to.

A server's own processor resizes what it gets, and nothing here can look into it. So an image is
sent in the frame to which the numbers of the convention refer: padded to a square where the
convention pads, and already resized where boxes are in pixels of the resized image.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image

from imaxray import radiograph
from imaxray.boxes import BoxConvention
from imaxray.errors import ImaxrayError
from imaxray.geometry import Letterbox, SmartResize
from imaxray.radiograph import Readable
from imaxray.schema import ImageSize

_LEVEL: Final = 6  # of zlib; higher levels take far longer for one or two per cent


def limited(convention: BoxConvention, max_pixels: int | None) -> BoxConvention:
    """Return the convention in the frame of images of at most ``max_pixels`` pixels.

    Raises:
        ImaxrayError: The frame of the convention cannot be so small.

    Example:
        >>> from imaxray.boxes import PERCENT, PIXELS
        >>> limited(PERCENT, 10_000) == PERCENT
        True
        >>> limited(PIXELS, 100_000).geometry.frame(2544, 3056).width
        280
    """
    frame = convention.geometry
    if max_pixels is None or convention.scale is not None or not isinstance(frame, SmartResize):
        return convention
    smallest = max(frame.factor**2, frame.min_pixels)
    if max_pixels < smallest:
        raise ImaxrayError(
            f"Expected at least {smallest} for --max-pixels with the box convention "
            f"{convention.name}, but got {max_pixels}; raise it."
        )
    most = min(frame.max_pixels, max_pixels)
    return convention.seen_through(replace(frame, max_pixels=most))


def sent_size(
    size: ImageSize, convention: BoxConvention, max_pixels: int | None
) -> tuple[int, int]:
    """Return width and height to which an original is resized, before any padding.

    Args:
        size: Width and height of the original in pixels.
        convention: Box convention, as :func:`limited` returns it.
        max_pixels: Maximum number of pixels, with the padding.

    Example:
        >>> from imaxray.boxes import PERCENT, PIXELS
        >>> sent_size((2544, 3056), PERCENT, None)
        (2544, 3056)
        >>> sent_size((2544, 3056), PERCENT, 1_000_000)
        (912, 1096)
        >>> sent_size((2544, 3056), PIXELS, None)
        (896, 1092)

    Raises:
        ImaxrayError: The image is too narrow for the frame of the convention.
    """
    frame = convention.geometry
    if convention.scale is None and isinstance(frame, SmartResize):
        try:
            return frame.resized(*size)
        except ValueError as error:
            raise ImaxrayError(
                f"Expected images that the frame of {convention.name} can hold, but {error}; leave "
                "its entries out, or name another convention."
            ) from error
    area = max(size) ** 2 if isinstance(frame, Letterbox) else size[0] * size[1]
    if max_pixels is None or area <= max_pixels:
        return size
    shrink = math.sqrt(max_pixels / area)
    width, height = (max(1, int(side * shrink)) for side in size)
    # a side of a very thin image cannot shrink below one pixel, so the other one shrinks more
    return min(width, max(1, max_pixels // height)), min(height, max(1, max_pixels // width))


def data_url(
    image: Readable, size: ImageSize, convention: BoxConvention, max_pixels: int | None
) -> str:
    """Return an image as a data URL of a grey PNG with 8 bits a pixel.

    Args:
        image: File, or cached pixels, which may be a smaller copy.
        size: Width and height of the original in pixels.
        convention: Box convention, as :func:`limited` returns it.
        max_pixels: Maximum number of pixels that are sent.

    Raises:
        ImaxrayError: The file does not have this ``size``, or it cannot be read.
    """
    picture = Image.fromarray(radiograph.load(image))
    if isinstance(image, Path) and picture.size != size:
        raise ImaxrayError(
            f"Expected {image} to have {size[0]} × {size[1]} pixels, as its table says, but it has "
            f"{picture.width} × {picture.height}; correct the table or the file."
        )
    target = sent_size(size, convention, max_pixels)
    if picture.size != target:
        picture = picture.resize(target, Image.Resampling.BICUBIC)
    if isinstance(convention.geometry, Letterbox):
        picture = radiograph.pad_to_square(picture, 0)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_LEVEL)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
