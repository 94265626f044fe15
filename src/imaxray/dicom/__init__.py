"""Reads DICOM radiographs: the header, and the pixels as they are meant to be displayed."""

from imaxray.dicom.display import read_deep, read_grey
from imaxray.dicom.elements import SUFFIXES, has_preamble, is_dicom, require_dicom
from imaxray.dicom.header import Header, problem, read_header

__all__ = [
    "SUFFIXES",
    "Header",
    "has_preamble",
    "is_dicom",
    "problem",
    "read_deep",
    "read_grey",
    "read_header",
    "require_dicom",
]
