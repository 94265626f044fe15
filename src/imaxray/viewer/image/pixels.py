"""Decodes images for the page: all pixels at full depth, and small pictures for the list."""

from __future__ import annotations

import io
import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from imaxray import radiograph

SIDE: Final = 192
"""Length of the longer side of a small picture, in pixels."""

_AT_ONCE: Final = 2  # images that are decoded at the same time; each may need 500 MB
_REMEMBERED: Final = 400  # small pictures, of about 15 KB each

_decoding: Final = threading.BoundedSemaphore(_AT_ONCE)


def raw_pixels(path: Path) -> tuple[bytes, str]:
    """Return all pixels of an image, and a JSON object that describes them.

    The pixels are rows from top to bottom, of 8 bits or of 16 with the low byte first. The object
    has width, height, bits, low and high (values displayed black and white), inverted, and slope
    and offset (to the values of the file).

    Raises:
        ImaxrayError: The file cannot be read.
    """
    with _decoding:
        image = radiograph.load_deep(path)
        height, width = image.pixels.shape
        deep = image.pixels.dtype == np.uint16
        about = {
            "width": width, "height": height, "bits": 16 if deep else 8, "low": image.low,
            "high": image.high, "inverted": image.inverted, "slope": image.slope,
            "offset": image.offset,
        }  # fmt: skip
        return np.ascontiguousarray(image.pixels, "<u2" if deep else "u1").tobytes(), json.dumps(
            about
        )


class SmallPictures:
    """Makes small pictures of images and remembers the latest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def of(self, path: Path) -> bytes:
        """Return a small picture of an image as JPEG.

        Raises:
            ImaxrayError: The file cannot be read.
        """
        key = (str(path), path.stat().st_mtime_ns)
        with self._lock:
            if (known := self._made.get(key)) is not None:
                self._made.move_to_end(key)
                return known
        with _decoding:
            picture = Image.fromarray(radiograph.load(path, stretch=True))
            picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=80)
        made = stream.getvalue()
        with self._lock:
            self._made[key] = made
            while len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        return made
