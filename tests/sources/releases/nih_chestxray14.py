"""Makes an invented ChestX-ray14 release: three images of two patients, boxes, both lists."""

import numpy as np
from PIL import Image

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = (
    "00000001_000.png,Cardiomegaly|Effusion,0,1,58,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,No Finding,1,1,59,M,AP,2682,2749,0.143,0.143",
    "00000002_000.png,Infiltration,0,2,81,F,PA,2500,2048,0.171,0.171",
    "00000003_000.png,Hernia,0,3,81,F,PA,2500,2048,0.171,0.171",
)
BOXES = (
    "00000001_000.png,Cardiomegaly,225.1,547.0,86.8,79.2,,,",
    "00000002_000.png,Infiltrate,1.5,7,100,200,,,",
)


def write(root):
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (root / "BBox_List_2017.csv").write_text("\n".join((header, *BOXES)) + "\n")
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000002_000.png\n00000003_000.png\n")
    (root / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (16, 16)).astype(np.uint8)
    for row in ROWS[:3]:
        Image.fromarray(noise).save(root / "images" / row.partition(",")[0])


SAMPLE_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y"
)


def write_sample(root):
    """Kaggle's sample of 5 %: ages as in the first edition, the images in a folder, no boxes."""
    ages = {"58": "058Y", "59": "059Y", "81": "081Y"}
    rows = (",".join(ages.get(cell, cell) for cell in row.split(",")) for row in ROWS[:3])
    (root / "sample_labels.csv").write_text("\n".join((SAMPLE_HEADER, *rows)) + "\n")
    folder = root / "sample" / "images"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (16, 16)).astype(np.uint8)
    for row in ROWS[:3]:
        Image.fromarray(noise).save(folder / row.partition(",")[0])


def write_parts(root):
    """The first edition as Kaggle hands it out: folders of images, a comma after each row."""
    header = f"{HEADER},"
    ages = {"58": "058Y", "59": "059Y", "81": "081Y"}
    rows = (",".join(ages.get(cell, cell) for cell in row.split(",")) + "," for row in ROWS)
    (root / "Data_Entry_2017.csv").write_text("\n".join((header, *rows)) + "\n")
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (root / "BBox_List_2017.csv").write_text("\n".join((header, *BOXES)) + "\n")
    noise = np.random.default_rng(0).integers(0, 255, (16, 16)).astype(np.uint8)
    for part, row in enumerate(ROWS[:3], start=1):
        folder = root / f"images_{part:03}" / "images"
        folder.mkdir(parents=True)
        Image.fromarray(noise).save(folder / row.partition(",")[0])
