"""Tests real tables of releases, which the package torchxrayvision ships, against another parser.

``make readers`` brings the package; none of its code is run. Its tables have the headers and the
codings of the publishers. The images are invented: one tiny file stands for each of a part of them.
"""

import csv
import gzip
import io
import os
import shutil
import tarfile
import zipfile
from ast import literal_eval
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from imaxray.curation import forecast_use
from imaxray.sources import get_source
from imaxray.sources._shared.collections.padchest_labels import padchest_findings, plain_label

DATA = Path(__file__).parents[2] / ".readers/torchxrayvision/torchxrayvision/data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="the tables of torchxrayvision are not in .readers; `make readers` brings them",
)
SIZE = (8, 4)


def table(name):
    """Rows of a table as dictionaries, by Python's own parser."""
    path = DATA / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
    else:
        text = gzip.decompress(path.read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def images(root, names):
    """One tiny image under many names, by hard links."""
    first = root / "tiny.png"
    Image.new("L", SIZE).save(first)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(first, path)
    first.unlink()


def stated(tables, kind, *columns):
    facts = tables.annotations.filter(pl.col("kind") == kind)
    return Counter(facts.select(*columns).rows())


def test_chestxray14(tmp_path, read):
    rows, boxes = table("Data_Entry_2017_v2020.csv.gz"), table("BBox_List_2017.csv.gz")
    assert (len(rows), len(boxes)) == (112_120, 984)
    here = {row["Image Index"] for row in [*boxes, *rows[:2000]]}
    for name in ("Data_Entry_2017_v2020.csv.gz", "BBox_List_2017.csv.gz"):
        shutil.copy(DATA / name, tmp_path)
    images(tmp_path, [f"images/{name}" for name in here])
    tables = read(tmp_path, source=get_source("nih-chestxray14"))
    assert tables.images.height == len(here)
    wanted = Counter(
        label
        for row in rows if row["Image Index"] in here
        for label in row["Finding Labels"].split("|")
    )  # fmt: skip
    ours = {"Effusion": "Pleural Effusion", "Pleural_Thickening": "Pleural Thickening"}
    positive = {(name, 1.0): n for name, n in wanted.items()}
    found = stated(tables, "label", "name", "value")
    for (name, value), count in positive.items():
        assert found[(ours.get(name, name), value)] == count, name
    assert found.total() == 14 * len(here) + wanted["No Finding"]
    assert dict(Counter(tables.images["view"])) == dict(
        Counter(row["View Position"] for row in rows if row["Image Index"] in here)
    )
    regions = tables.annotations.filter(pl.col("kind") == "region").sort("row")
    assert regions.height == len(boxes)
    width, height = SIZE
    for (x1, y1, x2, y2), row in zip(regions["boxes"].list.first().to_list(), boxes, strict=True):
        x, y, w, h = (float(row[key]) for key in ("Bbox [x", "y", "w", "h]"))
        assert [x1 / width, y1 / height] == pytest.approx([x / 1024, y / 1024])
        assert [x2 / width, y2 / height] == pytest.approx([(x + w) / 1024, (y + h) / 1024])
    missing = tables.rejects.filter(pl.col("code") == "missing-image")
    assert missing.height == len(rows) - len(here)


def test_chexpert(tmp_path, read):
    lines = gzip.decompress((DATA / "chexpert_train.csv.gz").read_bytes()).decode().splitlines()
    assert len(lines) == 223_415
    (tmp_path / "train.csv").write_text("\n".join([*lines[:40_001], ""]))
    header, rows = lines[0], list(csv.DictReader(lines[:40_001]))
    (tmp_path / "valid.csv").write_text(
        f"{header}\nCheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,"
        f"Frontal,AP{',0.0' * 14}\n"
    )
    here = rows[:3000]
    images(tmp_path, [row["Path"].partition("/")[2] for row in here])
    tables = read(tmp_path, source=get_source("chexpert"))
    train = tables.images.filter(pl.col("file") == "train.csv")
    assert train.height == len(here)
    sides = Counter("LATERAL" if row["Frontal/Lateral"] == "Lateral" else row["AP/PA"]
                    for row in here)  # fmt: skip
    assert Counter(train["view"]) == sides
    names = list(rows[0])[5:]
    wanted = {
        ("chexpert/" + "/".join(row["Path"].split("/")[2:4]), name, float(row[name]))
        for row in rows for name in names if row[name]
    }  # fmt: skip
    facts = tables.annotations.filter(pl.col("file") == "train.csv")
    assert set(facts.select("study_id", "name", "value").iter_rows()) == wanted
    assert facts.height == len(wanted)
    codes = dict(tables.rejects.group_by("code").len().iter_rows())
    assert codes["missing-image"] == len(rows) - len(here) + 1
    assert set(codes) <= {"missing-image", "unknown-sex"}


def test_rsna(tmp_path, read):
    rows = table("kaggle_stage_2_train_labels.csv.zip")
    assert len(rows) == 30_227
    shutil.copy(
        DATA / "kaggle_stage_2_train_labels.csv.zip", tmp_path / "stage_2_train_labels.csv.zip"
    )
    here = {row["patientId"] for row in rows[:4000]}
    images(tmp_path, [f"stage_2_train_images_png/{name}.png" for name in here])
    tables = read(tmp_path, source=get_source("rsna-pneumonia"))
    assert tables.images.height == len(here)
    boxed = [row for row in rows if row["patientId"] in here and row["Target"] == "1"]
    regions = tables.annotations.filter(pl.col("kind") == "region").sort("row")
    assert regions.height == len(boxed) > 1000
    width, height = SIZE
    for (x1, y1, x2, y2), row in zip(regions["boxes"].list.first().to_list(), boxed, strict=True):
        x, y, w, h = (float(row[key]) / 1024 for key in ("x", "y", "width", "height"))
        assert [x1 / width, y1 / height] == pytest.approx([x, y])
        assert [x2 / width, y2 / height] == pytest.approx([x + w, y + h])
    positive = {row["patientId"] for row in boxed}
    assert stated(tables, "label", "name", "value") == {
        ("Pneumonia", 1.0): len(positive), ("Pneumonia", 0.0): len(here - positive),
    }  # fmt: skip


def test_vinbigdata(tmp_path, read):
    rows = table("vinbigdata-train.csv.gz")
    assert len(rows) == 67_914
    shutil.copy(DATA / "vinbigdata-train.csv.gz", tmp_path / "train.csv.gz")
    here = {row["image_id"] for row in rows[:6000]}
    images(tmp_path, [f"train/{name}.png" for name in here])
    lines = ["image_id,dim0,dim1", *(f"{name},2000,1000" for name in sorted(here))]
    (tmp_path / "train_meta.csv").write_text("\n".join([*lines, ""]))
    tables = read(tmp_path, source=get_source("vindr-cxr"))
    assert tables.images.height == len(here)
    kept = [row for row in rows if row["image_id"] in here]
    boxed = [row for row in kept if row["class_name"] != "No finding"]
    regions = tables.annotations.filter(pl.col("kind") == "region").sort("row")
    assert regions.height == len(boxed) > 1000
    for box, reader, row in zip(
        regions["boxes"].list.first().to_list(), regions["reader"], boxed, strict=True
    ):
        corners = [float(row[key]) for key in ("x_min", "y_min", "x_max", "y_max")]
        assert box == pytest.approx([c * s for c, s in zip(corners, (8 / 1000, 4 / 2000) * 2,
                                                           strict=True)])  # fmt: skip
        assert reader == row["rad_id"]
    ours = {"No finding": "No Finding", "Pleural effusion": "Pleural Effusion",
            "Pleural thickening": "Pleural Thickening",
            "Pulmonary fibrosis": "Fibrosis"}  # fmt: skip
    positive = Counter(
        ours.get(name, name)
        for _, _, name in {(row["image_id"], row["rad_id"], row["class_name"]) for row in kept}
    )
    found = stated(tables, "label", "name", "value")
    names = {name for name, _ in found}
    assert len(names) == 10
    for name in names:
        assert found[(name, 1.0)] == positive[name], name
    readings = {(row["image_id"], row["rad_id"]) for row in kept}
    assert found.total() == 10 * len(readings)


def test_open_i_and_its_forecast(tmp_path):
    shutil.copy(DATA / "NLMCXR_reports.tgz", tmp_path)
    sections, names, uids = 0, [], set()
    with tarfile.open(DATA / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if not member.name.endswith(".xml"):
                continue
            report = ElementTree.fromstring(archive.extractfile(member).read())
            uids.add(report.find("uId").get("id"))
            names += [image.get("id") for image in report.iter("parentImage")]
            sections += sum(
                node.get("Label") in ("FINDINGS", "IMPRESSION")
                and bool("".join(node.itertext()).strip())
                for node in report.iter("AbstractText")
            )
    assert (len(uids), len(names)) == (3955, 7470)
    images(tmp_path, [f"NLMCXR_png/{name}.png" for name in names])
    tables = get_source("open-i").read(tmp_path)
    assert tables.images.height == len(names)
    facts = tables.annotations.filter(pl.col("kind") == "report")
    assert facts.height == sections
    # no report states a view, so nearly no image gets one
    expected = forecast_use(tables, "open-i", tmp_path)
    assert expected.images == len(names) and expected.annotations == tables.annotations.height
    assert expected.no_view == len(names) - expected.carriers
    assert expected.carriers == 28 and expected.placed < 100 < expected.annotations


def test_every_label_of_padchest_is_in_the_tree():
    labels = {
        plain_label(label)
        for row in table("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz")
        for label in (literal_eval(row["Labels"]) if row["Labels"].startswith("[") else [])
    }
    known = padchest_findings()
    assert len(labels) > 150
    assert sorted(labels - known.keys() - {""}) == []
