"""Makes an invented PadChest-GR release: one image with findings of two readers, one without."""

import gzip
import json
import zipfile

import numpy as np
from PIL import Image

REPORTS = "grounded_reports_20240819.json"
TABLE = "master_table.csv"
ONE, TWO = "21684011_00-141-160.png", "21684012_01-002-003.png"
HEADER = "StudyID,ImageID,PatientID,PatientAge,PatientSex_DICOM,label,label_group,split"


def finding(english, boxes=(), *, extra=(), labels=(), abnormal=True, spanish="frase"):
    return {"sentence_en": english, "sentence_es": spanish, "abnormal": abnormal,
            "boxes": list(boxes), "extra_boxes": list(extra), "labels": list(labels),
            "locations": [], "progression": None}  # fmt: skip


def study(image, *findings, number="100"):
    return {"StudyID": number, "ImageID": image, "PreviousStudyID": None,
            "PreviousImageID": None, "findings": list(findings)}  # fmt: skip


def tables_of(root, studies, rows):
    (root / REPORTS).write_text(json.dumps(studies))
    (root / TABLE).write_text("\n".join([HEADER, *rows, ""]))


def write(root):
    negative = {"sentence_en": "No pleural effusion.", "sentence_es": "Sin derrame.",
                "abnormal": False}  # fmt: skip
    tables_of(
        root,
        [study(ONE, finding("Mild cardiomegaly.", [[0.25, 0.5, 0.75, 0.9]],
                            extra=[[0.26, 0.5, 0.76, 0.9]], labels=["cardiomegaly"]),
               finding("Aortic elongation", [[0.4, 0.1, 0.6, 0.4]], labels=["aortic elongation"]),
               finding("Bilateral  nodules.", [[0.1, 0.1, 0.2, 0.2], [0.8, 0.1, 0.9, 0.2]],
                       labels=["nodule"]), negative),
         study(TWO, finding("", spanish="Sin hallazgos.", abnormal=False), number="200")],
        [f"100,{ONE},7,61.0,M,cardiomegaly,heart,train", f"100,{ONE},7,61.0,M,nodule,lung,train",
         f"100,{ONE},7,61.0,M,aortic elongation,aorta,train",
         f"200,{TWO},8,45,F,Normal,normal,validation"],
    )  # fmt: skip
    images = root / "Padchest_GR_files" / "PadChest_GR"
    images.mkdir(parents=True)
    Image.fromarray(np.arange(20000, dtype=np.uint16).reshape(100, 200)).save(images / ONE)
    Image.fromarray(np.zeros((50, 40), dtype=np.uint16)).save(images / TWO)


def packed(root):
    """Write the release; return its master table, and its path, which is free."""
    write(root)
    content = (root / TABLE).read_bytes()
    (root / TABLE).unlink()
    return content, root / TABLE


def write_gzipped(root):
    content, path = packed(root)
    path.with_name(f"{TABLE}.gz").write_bytes(gzip.compress(content, mtime=0))


def write_zipped(root):
    content, path = packed(root)
    with zipfile.ZipFile(path.with_name(f"{TABLE}.zip"), "w") as archive:
        archive.writestr(TABLE, content)


def write_folder(root):
    """As some tools unpack the zip."""
    content, path = packed(root)
    path.mkdir()
    (path / TABLE).write_bytes(content)
