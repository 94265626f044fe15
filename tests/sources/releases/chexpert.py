"""Makes an invented CheXpert 1.0 release: three train studies and one validation study."""

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


BATCHES = {
    "train/patient00001": "CheXpert-v1.0 batch 2 (train 1)",
    "train/patient00002": "CheXpert-v1.0 batch 3 (train 2)",
    "valid/patient64541": "CheXpert-v1.0 batch 1 (validate & csv)",
}


def write_batches(root):
    """The full-size images as they are handed out; the tables lie in the first batch."""
    first = root / BATCHES["valid/patient64541"]
    first.mkdir()
    for name, rows in (("train", TRAIN), ("valid", VALID)):
        lines = [HEADER, *(f"CheXpert-v1.0/{key}.jpg,{rest}" for key, rest in rows.items())]
        (first / f"{name}.csv").write_text("\n".join(lines) + "\n")
        for key in rows:
            folder = next(place for start, place in BATCHES.items() if key.startswith(start))
            inside = key.removeprefix("train/")
            path = root / folder / f"{inside}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 8)).save(path)
