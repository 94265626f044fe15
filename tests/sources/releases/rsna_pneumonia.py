"""Makes an invented RSNA pneumonia release: three images of three classes."""

import gzip
import zipfile

import numpy as np
from PIL import Image

from dicoms import write_dicom

LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
ONE, TWO, THREE = (f"0004cfab-14fd-4e49-80ba-63a80b6bddd{k}" for k in (6, 7, 8))
GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def tables_of(root, labels, classes):
    (root / LABELS).write_text("\n".join(["patientId,x,y,width,height,Target", *labels, ""]))
    (root / CLASSES).write_text("\n".join(["patientId,class", *classes, ""]))


def write(root):
    """An image with two boxes, one not normal, one normal."""
    tables_of(
        root,
        [f"{ONE},264.0,152.0,213.0,379.0,1", f"{ONE},562.0,152.0,256.0,453.0,1",
         f"{TWO},,,,,0", f"{THREE},,,,,0"],
        [f"{ONE},Lung Opacity", f"{ONE},Lung Opacity", f"{TWO},No Lung Opacity / Not Normal",
         f"{THREE},Normal"],
    )  # fmt: skip
    for name, size, tags in (
        (ONE, 1024, {"ViewPosition": "PA", "PatientSex": "F", "PatientAge": "51"}),
        (TWO, 8, {"ViewPosition": "AP", "PatientSex": "M", "PatientAge": "048Y"}),
        (THREE, 8, {}),
    ):
        write_dicom(root / "stage_2_train_images" / f"{name}.dcm",
                    np.zeros((size, size), np.uint8) + GREY[0, 3], **tags)  # fmt: skip


def write_packed(root):
    """One table zipped, as Kaggle does, and one gzipped."""
    write(root)
    with zipfile.ZipFile(root / f"{LABELS}.zip", "w") as archive:
        archive.write(root / LABELS, LABELS)
    (root / f"{CLASSES}.gz").write_bytes(gzip.compress((root / CLASSES).read_bytes(), mtime=0))
    (root / LABELS).unlink()
    (root / CLASSES).unlink()


def write_processed(root):
    """Kaggle's processed copy: one table with the classes, and PNG files of half the size."""
    write(root)
    classes = dict(row.split(",") for row in (root / CLASSES).read_text().splitlines()[1:])
    header, *rows = (root / LABELS).read_text().splitlines()
    lines = [f"{header},class", *(f"{row},{classes[row.partition(',')[0]]}" for row in rows)]
    (root / "stage2_train_metadata.csv").write_text("\n".join([*lines, ""]))
    (root / LABELS).unlink()
    (root / CLASSES).unlink()
    folder = root / "Training" / "Images"
    folder.mkdir(parents=True)
    for path in sorted((root / "stage_2_train_images").iterdir()):
        Image.new("L", (512, 512)).save(folder / f"{path.stem}.png")
        path.unlink()
    (root / "stage_2_train_images").rmdir()
