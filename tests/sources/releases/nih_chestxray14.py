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


def write_without_boxes(root):
    """A copy whose owner left the table of boxes out."""
    write(root)
    (root / "BBox_List_2017.csv").unlink()


def write_sample(root):
    """The widespread sample of 5 %: one table, ages with their unit, one folder of images."""
    write(root)
    for name in ("BBox_List_2017.csv", "train_val_list.txt", "test_list.txt"):
        (root / name).unlink()
    table = (root / "Data_Entry_2017_v2020.csv").read_text()
    (root / "Data_Entry_2017_v2020.csv").unlink()
    for age in ("58", "59", "81"):
        table = table.replace(f",{age},", f",0{age}Y,")
    (root / "sample").mkdir()
    (root / "sample_labels.csv").write_text(table)
    (root / "images").rename(root / "sample" / "images")
