"""Does the join of bench/build.py as a simple pandas script, for comparison.

    python bench/build_pandas.py RELEASES OUT

The script is what a researcher could write in one afternoon. It reads every table, makes
``(dicom_id, task, prompt, target)`` rows, counts the rows per image, takes dense images up to the
target, samples the same number per task from all images, and writes Parquet. It does not account
for rows, checks nothing, and does not maximise the number of images of DMAX.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

import pandas as pd

LABELS = ["Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum",
          "Fracture", "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion",
          "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices"]  # fmt: skip
GRADES = ["none", "vascular congestion", "interstitial edema", "alveolar edema"]
TARGET = 354_000
CAPS = {"calculation": 2, "rec": 4, "reg": 4, "vqa": 4}


def main() -> None:
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True)
    images = read_images(root / "mimic-cxr-jpg")
    frontal = images[images["ViewPosition"].isin(["PA", "AP"])]
    studies = frontal[["dicom_id", "study_id"]]
    parts = [
        calculation(root / "cxr-cardiomegaly"),
        on_images(findings(root / "mimic-cxr-jpg"), studies),
        on_images(grading(root / "mimic-cxr-pe-severity"), studies),
        vqa(root / "mimic-cxr-vqa"),
    ]
    if (root / "mimic-cxr").exists():
        parts.append(on_images(reports(root / "mimic-cxr"), studies))
        regions = pd.concat([phrases(root / "ms-cxr"), graphs(root / "chest-imagenome")])
        regions.to_parquet(out / "regions.parquet")
        named = regions[regions["finding"]].drop_duplicates(["dicom_id", "phrase"])
        rec = named.assign(task="rec", prompt="Locate the " + named["phrase"] + ".", target="<box>")
        reg = named.assign(task="reg", prompt="Describe the region <box>.", target=named["phrase"])
        columns = ["dicom_id", "task", "prompt", "target", "x1", "y1", "x2", "y2"]
        parts += [rec[columns], reg[columns]]
    entries = pd.concat(parts, ignore_index=True)
    entries = entries.merge(frontal[["dicom_id", "subject_id", "split"]], on="dicom_id")
    entries.to_parquet(out / "catalog.parquet")
    train = entries[entries["split"] == "train"]
    train = train[
        train.groupby(["dicom_id", "task"]).cumcount() < train["task"].map(CAPS).fillna(1)
    ]
    per_image = train.groupby("dicom_id").agg(tasks=("task", "nunique"), entries=("task", "size"))
    per_image = per_image[per_image["tasks"] >= 2].sample(frac=1, random_state=0)
    taken = per_image[per_image["entries"].cumsum() <= TARGET].index
    imax = train[train["dicom_id"].isin(taken)]
    volume = imax["task"].value_counts()
    dmax = pd.concat([train[train["task"] == task].sample(n, random_state=0)
                      for task, n in volume.items()])  # fmt: skip
    imax.to_parquet(out / "imax.parquet")
    dmax.to_parquet(out / "dmax.parquet")


def read_images(root: Path) -> pd.DataFrame:
    metadata = pd.read_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz")
    split = pd.read_csv(root / "mimic-cxr-2.0.0-split.csv.gz")
    return metadata.merge(split[["dicom_id", "split"]], on="dicom_id")


def on_images(rows: pd.DataFrame, studies: pd.DataFrame) -> pd.DataFrame:
    return rows.merge(studies, on="study_id").drop(columns="study_id")


def calculation(root: Path) -> pd.DataFrame:
    parts = []
    for name, column in (("CTRs.csv", "CTR"), ("CPARs.csv", "CPAR")):
        table = pd.read_csv(root / name).rename(columns={"dicom_file": "dicom_id"})
        table = table[(table[column] > 0) & (table[column] < 1)]
        parts.append(
            table.assign(task="calculation", prompt=f"Measure the {column}.",
                         target=table[column].round(2).astype(str))[
                ["dicom_id", "task", "prompt", "target"]
            ]
        )  # fmt: skip
    return pd.concat(parts)


def findings(root: Path) -> pd.DataFrame:
    chexpert = pd.read_csv(root / "mimic-cxr-2.0.0-chexpert.csv.gz")
    negbio = pd.read_csv(root / "mimic-cxr-2.0.0-negbio.csv.gz")
    both = chexpert.set_index("study_id")[LABELS].combine_first(
        negbio.set_index("study_id")[LABELS]
    )
    long = both.rename_axis(columns="label").stack().rename("value").reset_index()
    positive = long[long["value"] == 1].groupby("study_id")["label"].agg(", ".join)
    return positive.rename("target").reset_index().assign(task="findings",
                                                          prompt="List the findings.")  # fmt: skip


def grading(root: Path) -> pd.DataFrame:
    regex = pd.read_csv(root / "regex_report_edema_severity.csv")
    return pd.DataFrame(
        {
            "study_id": regex["study_id"],
            "task": "grading",
            "prompt": "Grade the pulmonary edema.",
            "target": regex["edema_severity"].map(dict(enumerate(GRADES))),
        }
    )


def vqa(root: Path) -> pd.DataFrame:
    rows = []
    for path in sorted(root.rglob("*.json")):
        with path.open() as stream:
            rows += [
                (item["image_id"], "vqa", item["question"], ", ".join(item["answer"]) or "none")
                for item in json.load(stream)
            ]
    return pd.DataFrame(rows, columns=["dicom_id", "task", "prompt", "target"])


def reports(root: Path) -> pd.DataFrame:
    rows = []
    with zipfile.ZipFile(root / "mimic-cxr-reports.zip") as archive:
        for name in archive.namelist():
            text = archive.read(name).decode()
            sections = dict(re.findall(r"\n (FINDINGS|IMPRESSION):\s(.*?)(?=\n [A-Z ]+:|\Z)", text,
                                       flags=re.DOTALL))  # fmt: skip
            if sections:
                body = " ".join(f"{k}: {' '.join(v.split())}" for k, v in sections.items())
                rows.append((int(Path(name).stem[1:]), "report", "Write the report.", body))
    return pd.DataFrame(rows, columns=["study_id", "task", "prompt", "target"])


def phrases(root: Path) -> pd.DataFrame:
    table = pd.read_csv(next(iter(sorted(root.glob("*.csv")))))
    return pd.DataFrame(
        {
            "dicom_id": table["dicom_id"],
            "phrase": table["label_text"],
            "finding": True,
            "x1": table["x"],
            "y1": table["y"],
            "x2": table["x"] + table["w"],
            "y2": table["y"] + table["h"],
        }
    )


def graphs(root: Path) -> pd.DataFrame:
    rows = []
    with zipfile.ZipFile(root / "silver_dataset/scene_graph.zip") as archive:
        for name in archive.namelist():
            graph = json.loads(archive.read(name))
            boxes = {}
            for item in graph["objects"]:
                box = (item["original_x1"], item["original_y1"], item["original_x2"],
                       item["original_y2"])  # fmt: skip
                boxes[item["bbox_name"]] = box
                rows.append((graph["image_id"], item["bbox_name"], False, *box))
            for item in graph["attributes"]:
                region = item["bbox_name"]
                for line in item["attributes"]:
                    for attribute in line:
                        category, said, name = attribute.split("|")
                        if (
                            said == "yes"
                            and category in ("anatomicalfinding", "disease")
                            and (region in boxes)
                        ):
                            phrase = f"{name} in the {region}"
                            rows.append((graph["image_id"], phrase, True, *boxes[region]))
    return pd.DataFrame(rows, columns=["dicom_id", "phrase", "finding", "x1", "y1", "x2", "y2"])


if __name__ == "__main__":
    main()
