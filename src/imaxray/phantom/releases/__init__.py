"""Writes the synthetic cohort as public releases, with one module per group of formats."""

from imaxray.phantom.releases.grounding import write_chest_imagenome, write_ms_cxr
from imaxray.phantom.releases.measurements import write_cardiomegaly, write_pe_severity
from imaxray.phantom.releases.mimic import write_mimic_cxr, write_mimic_cxr_jpg
from imaxray.phantom.releases.questions import write_mimic_cxr_vqa

__all__ = [
    "write_cardiomegaly",
    "write_chest_imagenome",
    "write_mimic_cxr",
    "write_mimic_cxr_jpg",
    "write_mimic_cxr_vqa",
    "write_ms_cxr",
    "write_pe_severity",
]
