"""Makes an invented CheXpert Plus release: three images of two studies, reports and labels."""

import csv
import json

from PIL import Image

from imaxray.schema import CHEXPERT

HEADER = ["path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id",
          "patient_report_date_order", "report", "section_narrative", "section_findings",
          "section_impression", "age", "sex", "split"]  # fmt: skip
NUMBERED = "1. Small effusion.\n 2. No PTX."
ROWS = [
    ["train/patient00001/study1/view1_frontal", "Frontal", "AP", "", NUMBERED],
    ["train/patient00001/study1/view2_lateral", "Lateral", "", "", NUMBERED],
    ["valid/patient64541/study1/view1_frontal", "Frontal", "PA", "Clear lungs.", "Normal."],
]  # fmt: skip


def write(root):
    with (root / "df_chexpert_plus_240401.csv").open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(HEADER)
        for key, side, projection, findings, impression in ROWS:
            patient, split = key.split("/")[1], key.split("/")[0]
            table.writerow([f"{key}.jpg", f"{key}.dcm", side, projection, patient, 1, "whole", "",
                            findings, impression, 41.0, "Male", split])  # fmt: skip
            path = root / "PNG" / f"{key}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 8)).save(path)
    (root / "chexbert_labels").mkdir()
    stated = [{"Pleural Effusion": 1.0, "Pneumothorax": 0.0}] * 2 + [{"No Finding": 1.0}]
    lines = [
        json.dumps({"path_to_image": f"{row[0]}.jpg"} | dict.fromkeys(CHEXPERT) | labels)
        for row, labels in zip(ROWS, stated, strict=True)
    ]
    (root / "chexbert_labels/report_fixed.json").write_text("\n".join(lines) + "\n")
