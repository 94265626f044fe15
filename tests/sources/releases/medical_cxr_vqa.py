"""Makes an invented Medical-CXR-VQA release with both documented headers."""

from imaxray.schema import CHEXPERT
from sources.releases.medical_diff_vqa import table

WITH_IMAGES = (
    "dicom_id", "subject_id", "study_id", "question", "question_type", "answer", "split",
)  # fmt: skip
WITHOUT = ("study_id", "subject_id", "question_type", "question", "answer")
DICOM, OTHER = ("-".join([f"{k:08x}"] * 5) for k in (1, 2))
WHERE = "where is the atelectasis?"


def images(root, view="antero-posterior", dicom=DICOM, ending=""):
    header = ("subject_id", "study_id", *CHEXPERT, "dicom_id", "view", "split", "study_date")
    row = (19999901, 59999901, *[""] * 14, dicom, view, "test", 21800101)
    table(root / f"mimic_all.csv{ending}", header, [row])


def write_named(root):
    """Every row names its image."""
    rows = [
        (DICOM, 19999901, 59999901, WHERE, "location", "left lower lobe", "train"),
        (DICOM, 19999901, 59999901, "is there edema?", "presence", "yes", "test"),
        (OTHER, 19999902, 59999902, WHERE, "location", "left, right", "train"),
    ]
    table(root / "medical-cxr-vqa-questions.csv", WITH_IMAGES, rows)


def write_studies(root):
    """Rows name their study; gzipped."""
    rows = [
        ("59999901", "19999901", "location", WHERE, "left"),
        ("59999901", "19999901", "presence", "is there edema?", "no"),
    ]
    table(root / "medical_cxr_vqa_questions.csv.gz", WITHOUT, rows)
    images(root, ending=".gz")
