"""Reads the patient from the path of an image, as each release names its files.

The ids are those that the readers of :mod:`imaxray.sources` give, so a patient is one patient in an
export and in a file of another project. Some releases name files after a study or an image only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_IMAGE: Final = r"\.(?:png|jpe?g|dcm|dicom)(?:\.png)?$"

_PATIENTS: Final = (
    (re.compile(r"(?:^|/)p(1\d{7})/"), "mimic-cxr/{}"),
    (re.compile(r"(?:^|/)(patient\d{4,6})/"), "chexpert/{}"),
    (re.compile(r"(?:^|/)0*(\d{1,8})(?<=\d{8})_\d{3}" + _IMAGE), "nih-chestxray14/{}"),
)
"""Path of an image → its patient."""

_STUDIES: Final = (
    (re.compile(r"(?:^|/)(\d{30,45})_[a-z0-9]{6}" + _IMAGE), "padchest/study-{}"),
    (re.compile(r"(?:^|/)(CXR\d{1,4})_(?:\d+_)?IM-"), "open-i/{}"),
)
"""Path of an image → its study. A study is of one patient, but a patient may have several."""

_NO_PATIENT: Final = (
    re.compile(r"(?:^|/)\d{30,45}_\d\d-\d{3}-\d{3}" + _IMAGE),  # PadChest, most files
    re.compile(r"(?:^|/)[0-9a-f]{32}" + _IMAGE),  # VinDr-CXR and VinBigData
    re.compile(r"(?:^|/)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}" + _IMAGE),  # RSNA
    re.compile(r"(?:^|/)[0-9a-f]{8}(?:-[0-9a-f]{8}){4}" + _IMAGE),  # MIMIC-CXR without folders
)
"""Paths of images of releases whose file names hold neither a patient nor a study."""

UNSURE: Final = "PadChest, VinDr-CXR, RSNA, Open-I, or MIMIC-CXR without its folders"
"""Releases whose paths do not name patients."""


@dataclass(frozen=True)
class PathPatient:
    """What a path says about the patient.

    Attributes:
        patient: Patient, or the study where the path names no patient; ``None`` if neither is
            named.
        unsure: Whether the path is that of a release which names no patient, so that one patient
            may appear as several.
    """

    patient: str | None
    unsure: bool = False


def patient_of(path: str) -> PathPatient:
    """Return what the path of an image says about the patient.

    Example:
        >>> patient_of("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg").patient
        'chexpert/patient00001'
        >>> patient_of("images/00000013_005.png").patient
        'nih-chestxray14/13'
    """
    plain = path.replace("\\", "/")
    for unsure, patterns in ((False, _PATIENTS), (True, _STUDIES)):
        for pattern, name in patterns:
            if (found := pattern.search(plain)) is not None:
                return PathPatient(name.format(found.group(1)), unsure)
    return PathPatient(None, any(pattern.search(plain) for pattern in _NO_PATIENT))
