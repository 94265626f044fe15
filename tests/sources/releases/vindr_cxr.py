"""Makes an invented VinDr-CXR release: PhysioNet's tables, plain and packed, and Kaggle's."""

import gzip
import shutil
import zipfile

import numpy as np
from PIL import Image

from dicoms import write_dicom

# the release's own order
LABELS = ["Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture",
          "Consolidation", "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration",
          "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift", "Nodule/Mass",
          "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis",
          "Rib fracture", "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis",
          "Other diseases", "No finding"]  # fmt: skip
ONE, TWO, THREE = (f"{k}" * 32 for k in "abc")
BOXES = "annotations/annotations_train.csv"
CELLS = "annotations/image_labels_train.csv"
TEST_BOXES = "annotations/annotations_test.csv"
TEST_CELLS = "annotations/image_labels_test.csv"


def cells(image, reader=None, *, positive=(), fill="0", **others):
    values = [others.get(n, "1" if n in positive else fill) for n in LABELS]
    return ",".join([image, *([reader] if reader else []), *values])


def table(root, name, header, lines):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))


def write(root):
    """Two train images of three readers each, one test image of their consensus."""
    box = "x_min,y_min,x_max,y_max"
    table(root, BOXES, f"image_id,rad_id,class_name,{box}",
          [f"{ONE},R1,Cardiomegaly,10.0,20.0,50.0,60.0",
           f"{ONE},R2,Cardiomegaly,12.0,22.0,52.0,62.0",
           f"{ONE},R2,ILD,1.0,2.0,30.0,40.0",
           f"{ONE},R3,Other lesion,70.5,70.5,90.0,95.0",
           f"{TWO},R1,No finding,,,,", f"{TWO},R2,No finding,,,,", f"{TWO},R3,No finding,,,,"],
    )  # fmt: skip
    table(root, CELLS, ",".join(["image_id", "rad_id", *LABELS]),
          [cells(ONE, "R1", positive=["Cardiomegaly"]),
           cells(ONE, "R2", positive=["Cardiomegaly", "ILD"]),
           cells(ONE, "R3", positive=["Other lesion", "Tuberculosis"]),
           *(cells(TWO, f"R{k}", positive=["No finding"]) for k in (1, 2, 3))],
    )  # fmt: skip
    table(root, TEST_BOXES, f"image_id,class_name,{box}",
          [f"{THREE},Pleural effusion,5.0,6.0,25.0,36.0",
           f"{THREE},Nodule/Mass,40.0,40.0,50.0,50.0"])  # fmt: skip
    header = ",".join(["image_id", *LABELS]).replace("Other diseases", "Other disease")
    table(root, TEST_CELLS, header, [cells(THREE, positive=["Pleural effusion", "Nodule/Mass"])])
    pixels = np.arange(100 * 120, dtype=np.uint16).reshape(100, 120)
    dicoms = ((f"train/{ONE}", {"PatientSex": "M", "PatientAge": "061Y"}),
              (f"train/{TWO}", {"PatientSex": "O", "PatientAge": "000Y", "ViewPosition": "AP"}),
              (f"test/{THREE}", {"PhotometricInterpretation": "MONOCHROME1"}))  # fmt: skip
    for name, tags in dicoms:
        write_dicom(root / f"{name}.dicom", pixels, **tags)


def respelled(root):
    """Write the release; yield its tables, which are gone, in the other spelling that occurs."""
    write(root)
    for name in (BOXES, CELLS, TEST_BOXES, TEST_CELLS):
        head, _, rest = (root / name).read_text().partition("\n")
        head = head.replace("rad_id", "rad_ID").replace("Other diseases", "Other disease(s)")
        (root / name).unlink()
        yield name.removeprefix("annotations/"), f"{head}\n{rest}".encode()


def write_gzipped(root):
    """Beside the images."""
    for name, content in respelled(root):
        (root / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))


def write_zipped(root):
    for name, content in respelled(root):
        with zipfile.ZipFile(root / "annotations" / f"{name}.zip", "w") as archive:
            archive.writestr(name, content)


def write_kaggle(root):
    """The challenge's form of the two train images."""
    for _ in respelled(root):
        pass
    table(root, "train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
          [f"{ONE},Cardiomegaly,3,R10,10,20,50,60", f"{TWO},No finding,14,R10,,,,",
           f"{ONE},Aortic enlargement,0,R9,30,10,60,40", f"{ONE},Cardiomegaly,3,R10,1,2,3,4",
           f"{TWO},No finding,14,R9,,,,", f"{TWO},Mass of cells,9,R8,1,2,3,4"])  # fmt: skip


def convert(root, folder):
    """Replace the DICOM files of the train set by PNG files of other proportions."""
    names = sorted(path.stem for path in (root / "train").iterdir())
    shutil.rmtree(root / "train")
    (root / folder).mkdir(parents=True)
    for name in names:
        Image.new("L", (60, 25)).save(root / folder / f"{name}.png")


def write_kaggle_sized(root):
    """A resized mirror whose table states the size of the original images."""
    write_kaggle(root)
    header, *rows = (root / "train.csv").read_text().splitlines()
    (root / "train.csv").unlink()
    table(
        root, "vinbigdata/train.csv", f"{header},width,height", [f"{row},120,100" for row in rows]
    )
    convert(root, "vinbigdata/train")


def write_kaggle_meta(root):
    """A resized mirror with a table of original sizes, beside the table of the challenge."""
    write_kaggle(root)
    table(root, "train_meta.csv", "image_id,dim0,dim1", [f"{ONE},100,120", f"{TWO},100,120"])
    convert(root, "train")
