"""Reads DICOM radiographs: the header, and the pixels as they are meant to be displayed."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imaxray._common.files import require_file
from imaxray.errors import ImaxrayError

SUFFIXES: Final = (".dcm", ".dicom")
"""File endings that mark a DICOM file even where the preamble is missing."""

_MAGIC: Final = b"DICM"
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # float, double, integer
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_OLDEST: Final = 120  # years
_FAR: Final = 1e12  # beyond any pixel value
_VIEWS: Final = {
    "POSTEROANTERIOR": "PA", "ANTEROPOSTERIOR": "AP", "LEFTLATERAL": "LL", "RIGHTLATERAL": "RL",
    "LATERAL": "LATERAL", "LAT": "LATERAL",
}  # fmt: skip
_SYNTAX: Final = "1.2.840.10008.1.2"
_DECODERS: Final = {
    **dict.fromkeys(("", ".1", ".1.99", ".2", ".5"), "pydicom"),  # uncompressed, deflated, RLE
    **dict.fromkeys((".4.50", ".4.90", ".4.91"), "pillow"),  # JPEG baseline, JPEG 2000
    **dict.fromkeys((".4.51", ".4.57", ".4.70"), "jpeg"),  # JPEG extended, lossless
}
"""Decoder of each transfer syntax; the keys are suffixes of ``_SYNTAX``.

GDCM is not used, because it ends the whole process on some damaged files. JPEG-LS is not decoded,
because its decoder allocates gigabytes on other damaged files; no release met so far uses it."""

# some files have a window of width 0 or an inconsistent LUT; these are ignored
_BROKEN: Final = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError,
)  # fmt: skip
_FRAME_STARTS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JP2: Final = b"\x00\x00\x00\x0cjP  "
_UID: Final = re.compile(r"[0-9.]{1,64}")
_AGE: Final = re.compile(r"(\d{1,3})([DWMY]?)")
_YEARS: Final = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1, "": 1}
_HEADER: Final = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "StudyDate", "PatientID", "PatientSex",
    "PatientAge",
    "Modality", "BodyPartExamined", "ViewPosition", "ViewCodeSequence", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "SpecificCharacterSet",
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """Holds the header fields; absent text is empty, an absent view, sex or age is ``None``."""

    instance: str  # SOPInstanceUID
    study: str  # StudyInstanceUID
    patient: str  # PatientID
    modality: str
    body_part: str
    transfer_syntax: str
    photometric: str
    width: int  # pixels; 0: no image
    height: int
    frames: int
    samples: int  # per pixel
    pixels: bool  # whether the file has pixel data
    view: str | None  # PA, AP, LL, RL, LATERAL or another value of ViewPosition
    sex: str | None  # M / F
    age: int | None  # whole years, at most 120
    date: str  # StudyDate, YYYYMMDD


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


def read_header(path: Path) -> Header:
    """Read the header of a file; the pixel data is neither read nor decoded.

    Raises:
        ImaxrayError: pydicom is not installed, or the file is missing, damaged or not DICOM.
    """
    require_dicom()
    require_file(path)
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    seen: list[int] = []

    def at_pixels(tag: Any, _vr: str | None, _length: int) -> bool:
        if int(tag) in _PIXELS:
            seen.append(int(tag))
        return bool(seen)

    with _reading(path), path.open("rb") as stream:
        tags: list[Any] = [Tag(name) for name in _HEADER]
        data = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=tags)
        # a media directory has none of these elements; it is DICOM, but it holds no image
        known = any(name in data for name in ("SOPClassUID", "Rows", "Modality"))
        if not known and "MediaStorageSOPClassUID" not in data.file_meta:
            raise ValueError("no DICOM data")
        return Header(
            instance=_text(data, "SOPInstanceUID"),
            study=_text(data, "StudyInstanceUID"),
            patient=_text(data, "PatientID"),
            modality=_text(data, "Modality").upper(),
            body_part=_text(data, "BodyPartExamined").upper(),
            transfer_syntax=_transfer_syntax(data),
            photometric=_text(data, "PhotometricInterpretation").upper(),
            width=_number(data, "Columns", 0),
            height=_number(data, "Rows", 0),
            frames=_number(data, "NumberOfFrames", 1),
            samples=_number(data, "SamplesPerPixel", 1),
            pixels=bool(seen),
            view=_view(data),
            sex={"M": "M", "F": "F"}.get(_text(data, "PatientSex").upper()[:1]),
            age=_age(_text(data, "PatientAge")),
            date=_text(data, "StudyDate"),
        )


def problem(header: Header, most: int) -> tuple[str, str] | None:
    """Return code and message if a file is not one grey image that can be decoded; else ``None``.

    Args:
        header: Header of the file.
        most: Maximum number of pixels of an image.
    """
    if not header.pixels or header.width < 1 or header.height < 1:
        return "no-pixels", "the file has no image"
    if header.frames != 1:
        return "multi-frame", "the file has several frames"
    if header.samples != 1 or header.photometric not in _GREY:
        return "not-greyscale", "the image is not MONOCHROME1 or MONOCHROME2"
    if header.width * header.height > most:
        return "too-large", f"the image has more than {most:,} pixels"
    if _decoder(header.transfer_syntax) is None:
        # a damaged header may hold any text, and the message is logged
        known = header.transfer_syntax if _UID.fullmatch(header.transfer_syntax) else "unknown"
        return "no-decoder", (
            f"no decoder for transfer syntax {known}; run pip install 'imaxray[dicom]'"
        )
    return None


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
    with _decoded(path, most) as (stored, data, inverted):
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

    with _decoded(path, most) as (stored, data, inverted):
        values: NDArray[Any] = apply_modality_lut(stored, data)
        ends = _displayed_range(data)
        if ends is None and stored.dtype == np.uint8 and _number(data, "BitsStored", 8) == 8:
            ends = (0.0, 255.0) if _is_plain(data) else None
        if ends is None:
            real = values[~_padding(stored, data)]
            ends = (float(real.min()), float(real.max())) if real.size else (0.0, 0.0)
        return values, *ends, inverted


@contextlib.contextmanager
def _decoded(path: Path, most: int) -> Iterator[tuple[NDArray[Any], Any, bool]]:
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
    with _reading(path):
        data = dcmread(path, force=True)
        data.ensure_file_meta()
        data.file_meta.TransferSyntaxUID = UID(header.transfer_syntax)
        stored = _stored(data, _decoder(header.transfer_syntax))
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


def _displayed(stored: NDArray[Any], data: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut

    values: NDArray[Any] = apply_modality_lut(stored, data)
    voi = _voi(values, data)
    if voi is not None:
        seen, low, high = voi
    elif stored.dtype == np.uint8 and _number(data, "BitsStored", 8) == 8 and _is_plain(data):
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
        if _text(data, "VOILUTFunction").upper() in ("", "LINEAR"):
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


def _decoder(transfer_syntax: str) -> str | None:
    if not transfer_syntax.startswith(_SYNTAX):
        return None
    decoder = _DECODERS.get(transfer_syntax.removeprefix(_SYNTAX))
    missing = decoder == "jpeg" and importlib.util.find_spec("imagecodecs") is None
    return None if missing else decoder


def _transfer_syntax(data: Any) -> str:
    """Return the stated transfer syntax, or else the one in which the first element is encoded."""
    stated = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    if stated:
        return str(stated)
    implicit, little = data.original_encoding
    if not little:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def _text(data: Any, name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value).replace("\x00", "").strip()


def _number(data: Any, name: str, absent: int) -> int:
    text = _text(data, name)
    return int(text) if re.fullmatch(r"\d{1,9}", text) else absent


def _view(data: Any) -> str | None:
    stated = _text(data, "ViewPosition").upper()
    if not stated:
        codes = data.get("ViewCodeSequence") or []
        stated = _text(codes[0], "CodeMeaning").upper() if len(codes) else ""
    return _VIEWS.get(re.sub(r"[\s_-]", "", stated), stated) or None


def _age(text: str) -> int | None:
    match = _AGE.fullmatch(text.upper())
    if match is None:
        return None
    years = int(int(match[1]) / _YEARS[match[2]])
    return years if years <= _OLDEST else None


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
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
