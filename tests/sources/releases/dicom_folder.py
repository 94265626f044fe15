"""Makes a folder of six DICOM radiographs, of one patient and of unknown ones, or one file."""

import numpy as np

from dicoms import write_dicom

GREY = np.arange(48, dtype=np.uint16).reshape(6, 8)


def write(root):
    write_dicom(root / "a/1.dcm", GREY, SOPInstanceUID="1.1", StudyInstanceUID="1.9",
                ViewPosition="PA", PatientSex="F", PatientAge="064Y", BodyPartExamined="CHEST",
                Modality="DX")  # fmt: skip
    write_dicom(root / "a/2", GREY[:, :5], SOPInstanceUID="1.2", StudyInstanceUID="1.9",
                ViewPosition="LL", PhotometricInterpretation="MONOCHROME1")  # fmt: skip
    write_dicom(root / "b/3.dcm", GREY, SOPInstanceUID="1.3", StudyInstanceUID="2.9",
                PatientID="")  # fmt: skip
    write_dicom(root / "b/4.dcm", GREY, SOPInstanceUID="1.4", StudyInstanceUID=None,
                PatientID=None)  # fmt: skip


def write_one(root):
    """Known by its preamble alone."""
    write_dicom(root / "I1", GREY, SOPInstanceUID="1.5", ViewPosition="AP")
