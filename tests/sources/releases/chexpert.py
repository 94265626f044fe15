"""Makes an invented CheXpert 1.0 release: three train studies, one for validation, two for test."""

from PIL import Image

# the release's own order, not the alphabet's
LABELS = ["No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
          "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
          "Pleural Other", "Fracture", "Support Devices"]  # fmt: skip
HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS])
TRAIN = {
    "train/patient00001/study1/view1_frontal": "Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
    "train/patient00001/study2/view1_frontal": "Unknown,0,Frontal,LL,,,,,,,,0.0,,,,,,",
    "train/patient00002/study1/view1_frontal": "Male,87,Frontal,PA,,,-1.0,1.0,,-1.0,,,,,,,,",
    "train/patient00002/study1/view2_lateral": "Male,87,Lateral,,,,-1.0,1.0,,-1.0,,,,,,,,",
}
VALID = {
    "valid/patient64541/study1/view1_frontal": "Male,73,Frontal,AP," + ",".join(["0.0"] * 14),
}


def write(root):
    for name, rows in (("train", TRAIN), ("valid", VALID)):
        lines = [HEADER, *(f"CheXpert-v1.0-small/{key}.jpg,{rest}" for key, rest in rows.items())]
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
        for key in rows:
            path = root / f"{key}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 8)).save(path)


# the columns of CheXlocalize's table, in its order
TEST_LABELS = [*LABELS[1:], "No Finding"]
TEST = ["test/patient64741/study1/view1_frontal", "test/patient64741/study1/view2_lateral",
        "test/patient64742/study1/view1_frontal"]  # fmt: skip
BATCHES = {"patient00001": "2 (train 1)", "patient00002": "3 (train 2)"}


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 8)).save(path)


def write_batches(root):
    """The full-size download as it is handed out: four zips, each unpacked beside the others."""
    first = root / "CheXpert-v1.0 batch 1 (validate & csv)"
    first.mkdir()
    for name, rows in (("train", TRAIN), ("valid", VALID)):
        lines = [HEADER, *(f"CheXpert-v1.0/{key}.jpg,{rest}" for key, rest in rows.items())]
        (first / f"{name}.csv").write_text("\n".join(lines) + "\n")
    for key in VALID:
        picture(first / f"{key}.jpg")
    for key in TRAIN:
        rest = key.removeprefix("train/")
        picture(root / f"CheXpert-v1.0 batch {BATCHES[rest[:12]]}" / f"{rest}.jpg")


def write_test_images(root):
    """The small download, and the test set as CheXlocalize hands it out."""
    write(root)
    rows = (f"{key}.jpg," + ",".join(["0"] * 13 + ["1"]) for key in TEST)
    lines = [",".join(["Path", *TEST_LABELS]), *rows]
    (root / "test_labels.csv").write_text("\n".join(lines) + "\n")
    for key in TEST:
        picture(root / f"{key}.jpg")


def write_test_studies(root):
    """The test set alone: the authors' table of studies, and the images."""
    studies = ("patient64741/study1", "patient64742/study1")
    rows = (f"CheXpert-v1.0/test/{key}," + ",".join(["1"] + ["0"] * 13) for key in studies)
    lines = [",".join(["Study", *LABELS]), *rows]
    (root / "groundtruth.csv").write_text("\n".join(lines) + "\n")
    for key in TEST:
        picture(root / "CheXpert-v1.0" / f"{key}.jpg")
