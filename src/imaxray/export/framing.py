"""Puts an image into the frame that boxes refer to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaxray.geometry import CentreCrop, Geometry, Letterbox


def framed(pixels: NDArray[np.uint8], geometry: Geometry | None) -> Image.Image:
    """Return an image as the frame of a geometry shows it; None leaves it as it is.

    Args:
        pixels: Grey image, (height, width) uint8, upright.
        geometry: Frame that boxes refer to.

    Example:
        >>> framed(np.zeros((20, 10), np.uint8), Letterbox()).size
        (20, 20)
    """
    image = Image.fromarray(pixels)
    if geometry is None:
        return image
    frame = geometry.frame(*image.size)
    size = (round(frame.width), round(frame.height))
    if isinstance(geometry, Letterbox | CentreCrop):
        canvas = Image.new("L", size)
        canvas.paste(image, (round(frame.offset[0]), round(frame.offset[1])))
        return canvas
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC)
