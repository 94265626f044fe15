"""Tests randomly damaged tables of box releases: an error sentence or rejects, but no crash."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError

IDS = ["a" * 32, "b" * 32]
VINDR = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n" + "".join(
    f"{name},Cardiomegaly,3,R{k},1.5,2,3,4\n{name},No finding,14,R9,,,,\n"
    for k, name in enumerate(IDS)
)
LABELS = "patientId,x,y,width,height,Target\n" + "".join(
    f"{name},1.0,2.0,300.0,4.0,1\n" for name in IDS
)
CLASSES = "patientId,class\n" + "".join(f"{name},Lung Opacity\n" for name in IDS)
MASTER = "StudyID,ImageID,PatientID,PatientAge,PatientSex_DICOM,label,split\n" + "".join(
    f"1,{name}.png,7,61,M,cardiomegaly,train\n" for name in IDS
)
REPORTS = json.dumps([
    {"StudyID": "1", "ImageID": f"{name}.png", "findings": [
        {"sentence_en": "Nodule.", "sentence_es": "Nódulo.", "abnormal": True,
         "boxes": [[0.1, 0.2, 0.3, 0.4]], "extra_boxes": [], "labels": ["nodule"]}]}
    for name in IDS
])  # fmt: skip
RELEASES = {
    "vindr-cxr": {"train.csv": VINDR},
    "rsna-pneumonia": {"stage_2_train_labels.csv": LABELS,
                       "stage_2_detailed_class_info.csv": CLASSES},
    "padchest-gr": {"master_table.csv": MASTER, "grounded_reports_20240819.json": REPORTS},
}  # fmt: skip
IMAGES = {"vindr-cxr": ("train", ".dicom"), "rsna-pneumonia": ("stage_2_train_images", ".dcm"),
          "padchest-gr": ("images", ".png")}  # fmt: skip
BYTES = b',"\n\r\0\xff0123456789-.einf[]{}aN'


@pytest.mark.parametrize("name", RELEASES)
def test_damaged_tables(name, tmp_path, write_dicom):
    folder, ending = IMAGES[name]
    for image in IDS:
        path = tmp_path / folder / f"{image}{ending}"
        path.parent.mkdir(exist_ok=True)
        if ending == ".png":
            Image.new("L", (8, 8)).save(path)
        else:
            write_dicom(path, np.zeros((8, 8), np.uint8))
    chance = random.Random(7)
    read = 0
    for turn in range(40):
        for k, (file, text) in enumerate(RELEASES[name].items()):
            data = bytearray(text.encode())
            # one file at a time; any change to JSON is likely to break it whole
            most = 2 if file.endswith(".json") else 6
            for _ in range(chance.randint(1, most) if turn % len(RELEASES[name]) == k else 0):
                # seldom in the header, where nearly all damage is the same one sentence
                first = 0 if chance.random() < 0.2 else text.find("\n") + 1
                data[chance.randrange(first, len(data))] = chance.choice(BYTES)
            if chance.random() < 0.05:
                del data[chance.randrange(len(data)) :]
            (tmp_path / file).write_bytes(data)
        try:
            build_catalog({name: tmp_path})  # closes the account, or raises RuntimeError
            read += 1
        except ImaxrayError:
            pass
    assert 10 <= read < 40
