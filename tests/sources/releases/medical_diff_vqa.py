"""Makes an invented Medical-Diff-VQA release: three studies and one question of each type."""

import csv
import gzip

from imaxray.schema import CHEXPERT

TABLE, ALL = "mimic_pair_questions.csv", "mimic_all.csv"
HEADER = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
ALL_HEADER = (
    "subject_id", "study_id", *CHEXPERT, "dicom_id", "view", "split", "study_date", "study_order",
)  # fmt: skip
FRONTAL, LATERAL, SECOND = ("-".join([f"{k:08x}"] * 5) for k in (1, 2, 3))
STUDIES = [
    (19999901, 59999901, FRONTAL, "antero-posterior", "train", "21800102", 1.0),
    (19999901, 59999902, LATERAL, "lateral", "train", "21800203", 2.0),
    (19999903, 59999903, SECOND, "postero-anterior", "validate", "21800304", 1.0),
]
ROWS = [
    ("59999901", "19999901", "59999900", "level", "what level is the pleural effusion?", "small"),
    ("59999901", "19999901", "59999900", "abnormality",
     "what abnormalities are seen in this image?", "Pleural Effusion, atelectasis,"),
    ("59999901", "19999901", "59999900", "difference",
     "what has changed compared to the reference image?", "nothing has changed."),
    ("59999903", "19999903", "59999900", "presence", "is there edema?", "No"),
    ("59999903", "19999903", "59999900", "view", "which view is this image taken?", "PA view"),
]  # fmt: skip


def table(path, header, rows):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def write(root, rows=ROWS, studies=STUDIES, ending=""):
    table(root / (TABLE + ending), HEADER, [(*row, "train") for row in rows])
    labels = [1.0, "", -1.0, *[""] * 11]
    lines = [(p, s, *labels, d, v, x, date, order) for p, s, d, v, x, date, order in studies]
    table(root / (ALL + ending), ALL_HEADER, lines)
    return root


def write_gzipped(root):
    """Ids in the other forms that occur."""
    lettered = [(f"s{row[0]}", f"p{row[1]}", *row[2:]) for row in ROWS]
    studies = [(f"{s[0]}.0", f"{s[1]}.0", *s[2:]) for s in STUDIES]
    write(root, lettered, studies, ending=".gz")
