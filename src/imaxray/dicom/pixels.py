"""Decodes the stored values of a DICOM image, before any look-up table is applied."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imaxray._common.files import require_file
from imaxray.dicom.elements import reading
from imaxray.dicom.header import decoder_of, problem, read_header
from imaxray.errors import ImaxrayError

_FRAME_STARTS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JP2: Final = b"\x00\x00\x00\x0cjP  "


@contextlib.contextmanager
def decoded(path: Path, most: int) -> Iterator[tuple[NDArray[Any], Any, bool]]:
    """Yield the stored values, the data set, and whether the image is MONOCHROME1.

    Raises:
        ImaxrayError: The file is not one grey image, or it or the block fails.
    """
    header = read_header(path)
    fault = problem(header, most)
    if fault is not None:
        raise ImaxrayError(
            f"Expected one readable greyscale image in {path}, but {fault[1]}; remove its row or "
            "fetch it again."
        )
    from pydicom import dcmread
    from pydicom.uid import UID

    require_file(path)
    with reading(path):
        data = dcmread(path, force=True)
        data.ensure_file_meta()
        data.file_meta.TransferSyntaxUID = UID(header.transfer_syntax)
        stored = _stored(data, decoder_of(header.transfer_syntax))
        if stored.shape != (header.height, header.width):
            raise ValueError("the pixel data is not of the header's size")
        yield stored, data, header.photometric == "MONOCHROME1"


def _stored(data: Any, decoder: str | None) -> NDArray[Any]:
    """Return the stored values, before any look-up table is applied."""
    from pydicom.encaps import get_frame

    if decoder == "pydicom":
        return np.asarray(data.pixel_array)
    frame = get_frame(data.PixelData, 0, number_of_frames=1)
    if decoder == "pillow":
        _check_boxes(frame)
        data.pixel_array_options(decoding_plugin="pillow")
        return np.asarray(data.pixel_array)
    _check_size(frame, int(data.Rows), int(data.Columns))
    import imagecodecs

    values: NDArray[Any] = imagecodecs.jpeg_decode(frame)
    if data.PixelRepresentation == 1:
        bits = values.dtype.itemsize * 8 - int(data.BitsStored)  # the sign: the highest stored bit
        values = (values << bits).view(f"i{values.dtype.itemsize}") >> bits
    return values


def _check_size(frame: bytes, height: int, width: int) -> None:
    """Raise ValueError unless a JPEG frame has the header's size, before a decoder allocates it."""
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            break
        if frame[at + 1] in _FRAME_STARTS:
            if frame[at + 5 : at + 9] == height.to_bytes(2) + width.to_bytes(2):
                return
            break
        at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    raise ValueError("the frame is not of the header's size")


def _check_boxes(frame: bytes) -> None:
    """Raise ValueError if a JP2 file has a box that is too short; pydicom 3 never ends on it."""
    if not frame.startswith(_JP2):
        return
    at = len(_JP2) + 4
    while at < len(frame) and frame[at + 4 : at + 8] != b"jp2c":
        length = int.from_bytes(frame[at : at + 4])
        if length < 8:
            raise ValueError("a JP2 box of no length")
        at += length
