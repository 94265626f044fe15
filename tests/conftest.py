"""Shared fixtures."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from imaxray.phantom import write_phantom

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def open_cxr() -> Path:
    """The real radiographs; tests that need them are skipped where they are absent."""
    path = Path(os.environ.get("IMAXRAY_OPEN_CXR", ROOT.parent / "shared" / "open-cxr"))
    if not path.is_dir():
        pytest.skip(f"the open radiographs are not at {path}; set IMAXRAY_OPEN_CXR")
    return path


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory) -> Path:
    """A small phantom: 120 images and their seven releases."""
    out = tmp_path_factory.mktemp("phantom") / "releases"
    write_phantom(out, images=120, seed=3)
    return out


@pytest.fixture(scope="session")
def phantom_releases(phantom_root) -> dict[str, Path]:
    """Source name -> folder of the small phantom."""
    return {p.name: p for p in sorted(phantom_root.iterdir()) if p.is_dir() and p.name != "truth"}


@pytest.fixture(scope="session")
def write_dicom():
    """A function that writes a small DICOM radiograph; tags can be set or, by None, left out."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    cr = "1.2.840.10008.5.1.4.1.1.1"

    def write(*args, **tags):
        # releases hold values that the standard does not allow
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return write_as_it_is(*args, **tags)

    def write_as_it_is(
        path, pixels=None, *, syntax=ExplicitVRLittleEndian, frames=None, bare=False, **tags
    ):
        data = Dataset()
        data.SOPClassUID = cr
        data.SOPInstanceUID = f"1.2.3.{sum(map(ord, path.stem))}"
        data.StudyInstanceUID = "1.2.3"
        data.PatientID = "P1"
        data.Modality = "CR"
        if pixels is not None:
            bits = pixels.dtype.itemsize * 8
            data.Rows, data.Columns = pixels.shape[-2:]
            data.SamplesPerPixel = 1
            data.PhotometricInterpretation = "MONOCHROME2"
            data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
            data.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
            data.add_new(
                "PixelData", "OB" if frames or bits == 8 else "OW", frames or pixels.tobytes()
            )
            data["PixelData"].is_undefined_length = frames is not None
        for name, value in tags.items():
            if value is not None:
                setattr(data, name, value)
            elif name in data:
                delattr(data, name)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = UID(syntax)
        data.file_meta.MediaStorageSOPClassUID = cr
        data.file_meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", "1.2.3")
        path.parent.mkdir(parents=True, exist_ok=True)
        if bare:
            del data.file_meta
            data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        else:
            data.save_as(path, enforce_file_format=True)
        return path

    return write
