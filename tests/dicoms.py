"""Makes small DICOM radiographs."""

import warnings

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CR = "1.2.840.10008.5.1.4.1.1.1"


def write_dicom(*args, **tags):
    """Write a small DICOM radiograph; tags can be set or, by None, left out."""
    # releases hold values that the standard does not allow
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write_as_it_is(*args, **tags)


def write_as_it_is(
    path, pixels=None, *, syntax=ExplicitVRLittleEndian, frames=None, bare=False, **tags
):
    data = Dataset()
    data.SOPClassUID = CR
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
        data.add_new("PixelData", "OB" if frames or bits == 8 else "OW", frames or pixels.tobytes())
        data["PixelData"].is_undefined_length = frames is not None
    for name, value in tags.items():
        if value is not None:
            setattr(data, name, value)
        elif name in data:
            delattr(data, name)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.file_meta.MediaStorageSOPClassUID = CR
    data.file_meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", "1.2.3")
    path.parent.mkdir(parents=True, exist_ok=True)
    if bare:
        del data.file_meta
        data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    else:
        data.save_as(path, enforce_file_format=True)
    return path
