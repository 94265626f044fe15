"""Reads the header of a DICOM file, and tells whether its image can be read."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imaxray._common.files import require_file
from imaxray.dicom.elements import number, reading, require_dicom, text

_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # float, double, integer
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_OLDEST: Final = 120  # years
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

    with reading(path), path.open("rb") as stream:
        tags: list[Any] = [Tag(name) for name in _HEADER]
        data = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=tags)
        # a media directory has none of these elements; it is DICOM, but it holds no image
        known = any(name in data for name in ("SOPClassUID", "Rows", "Modality"))
        if not known and "MediaStorageSOPClassUID" not in data.file_meta:
            raise ValueError("no DICOM data")
        return Header(
            instance=text(data, "SOPInstanceUID"),
            study=text(data, "StudyInstanceUID"),
            patient=text(data, "PatientID"),
            modality=text(data, "Modality").upper(),
            body_part=text(data, "BodyPartExamined").upper(),
            transfer_syntax=_transfer_syntax(data),
            photometric=text(data, "PhotometricInterpretation").upper(),
            width=number(data, "Columns", 0),
            height=number(data, "Rows", 0),
            frames=number(data, "NumberOfFrames", 1),
            samples=number(data, "SamplesPerPixel", 1),
            pixels=bool(seen),
            view=_view(data),
            sex={"M": "M", "F": "F"}.get(text(data, "PatientSex").upper()[:1]),
            age=_age(text(data, "PatientAge")),
            date=text(data, "StudyDate"),
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
    if decoder_of(header.transfer_syntax) is None:
        # a damaged header may hold any text, and the message is logged
        known = header.transfer_syntax if _UID.fullmatch(header.transfer_syntax) else "unknown"
        return "no-decoder", (
            f"no decoder for transfer syntax {known}; run pip install 'imaxray[dicom]'"
        )
    return None


def decoder_of(transfer_syntax: str) -> str | None:
    """Return the name of the decoder of a transfer syntax, or ``None`` if none is installed."""
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


def _view(data: Any) -> str | None:
    stated = text(data, "ViewPosition").upper()
    if not stated:
        codes = data.get("ViewCodeSequence") or []
        stated = text(codes[0], "CodeMeaning").upper() if len(codes) else ""
    return _VIEWS.get(re.sub(r"[\s_-]", "", stated), stated) or None


def _age(stated: str) -> int | None:
    match = _AGE.fullmatch(stated.upper())
    if match is None:
        return None
    years = int(int(match[1]) / _YEARS[match[2]])
    return years if years <= _OLDEST else None
