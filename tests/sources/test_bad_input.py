"""Tests that a fault in a release gives one clear sentence, or a reject with a code."""

import gzip
import json
import shutil
import zipfile

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source, list_sources

MIMIC = [
    "chest-imagenome", "cxr-cardiomegaly", "mimic-cxr", "mimic-cxr-jpg", "mimic-cxr-pe-severity",
    "mimic-cxr-vqa", "ms-cxr",
]  # fmt: skip
TABLES = {
    "mimic-cxr-jpg": "mimic-cxr-2.0.0-metadata.csv.gz",
    "mimic-cxr-pe-severity": "regex_report_edema_severity.csv",
    "cxr-cardiomegaly": "CTRs.csv",
    "ms-cxr": "MS_CXR_Local_Alignment_v1.1.0.csv",
    "chest-imagenome": "silver_dataset/splits/images_to_avoid.csv",
}


@pytest.fixture
def release(phantom_releases, tmp_path):
    """A function that copies one release of the phantom, tables only."""

    def copy(name):
        target = tmp_path / name
        shutil.copytree(
            phantom_releases[name], target, ignore=lambda d, n: [x for x in n if x == "files"]
        )
        return target

    return copy


def read_lines(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as stream:
        return stream.read().splitlines()


def write_lines(path, lines):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt") as stream:
        stream.write("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", MIMIC)
def test_every_row_is_accounted_for(name, phantom_releases, account_closes):
    tables = get_source(name).read(phantom_releases[name])
    assert tables.files
    account_closes(tables)


@pytest.mark.parametrize("source", list_sources(), ids=lambda s: s.name)
def test_a_missing_release_and_a_missing_file(source, tmp_path):
    with pytest.raises(ImaxrayError, match=source.name):
        source.check(tmp_path / "nowhere")
    with pytest.raises(ImaxrayError, match="Expected"):
        source.check(tmp_path)


@pytest.mark.parametrize(("name", "file"), TABLES.items())
def test_an_empty_table(name, file, release):
    root = release(name)
    path = root / file
    write_lines(path, read_lines(path)[:1])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        get_source(name).read(root)


@pytest.mark.parametrize(("name", "file"), TABLES.items())
def test_a_wrong_column(name, file, release):
    root = release(name)
    path = root / file
    lines = read_lines(path)
    header = lines[0].split(",")
    needed = next(h for h in header if h.startswith(("dicom", "subject", "CTR", "edema")))
    write_lines(path, [lines[0].replace(needed, "something"), *lines[1:]])
    with pytest.raises(ImaxrayError, match="Expected the column"):
        get_source(name).check(root)


@pytest.mark.parametrize("name", ["mimic-cxr-jpg"])
def test_a_damaged_gzip(name, release):
    root = release(name)
    path = root / TABLES[name]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImaxrayError, match="damaged"):
        get_source(name).read(root)


@pytest.mark.parametrize(
    ("name", "file"),
    [("mimic-cxr", "mimic-cxr-reports.zip"), ("chest-imagenome", "silver_dataset/scene_graph.zip")],
)
def test_a_damaged_zip(name, file, release):
    root = release(name)
    path = root / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImaxrayError, match="zip"):
        get_source(name).read(root)


def test_plain_csv_does_as_well_as_gzipped(release, phantom_releases):
    root = release("mimic-cxr-jpg")
    for path in sorted(root.glob("*.csv.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    plain = get_source("mimic-cxr-jpg").read(root)
    zipped = get_source("mimic-cxr-jpg").read(phantom_releases["mimic-cxr-jpg"])
    assert plain.images.drop("file").equals(zipped.images.drop("file"))
    assert plain.annotations.drop("file").equals(zipped.annotations.drop("file"))


@pytest.mark.parametrize(
    ("name", "file", "folder"),
    [
        ("mimic-cxr", "mimic-cxr-reports.zip", "mimic-cxr-reports"),
        ("chest-imagenome", "silver_dataset/scene_graph.zip", "silver_dataset"),
    ],
)
def test_unpacked_archives_do_as_well(name, file, folder, release, phantom_releases):
    root = release(name)
    with zipfile.ZipFile(root / file) as archive:
        archive.extractall(root / folder)
    (root / file).unlink()
    loose = get_source(name).read(root).annotations.drop("file", "row")
    zipped = get_source(name).read(phantom_releases[name]).annotations.drop("file", "row")
    assert loose.sort(loose.columns[:7]).equals(zipped.sort(zipped.columns[:7]))


def test_an_unknown_label_value_is_a_reject(release, account_closes):
    root = release("mimic-cxr-jpg")
    path = root / "mimic-cxr-2.0.0-chexpert.csv.gz"
    lines = read_lines(path)
    cells = lines[1].split(",")
    cells[3] = "7.0"
    write_lines(path, [lines[0], ",".join(cells), *lines[2:]])
    tables = get_source("mimic-cxr-jpg").read(root)
    bad = tables.rejects.filter(pl.col("code") == "unknown-label")
    assert bad["row"].to_list() == [1] and bad["key"].to_list() == [cells[1]]
    account_closes(tables)


def test_ratios_sentinels_and_nonsense_are_rejects(tmp_path):
    dicom = ["-".join([f"{k:08x}"] * 5) for k in range(6)]
    rows = zip(dicom, ["0.5", "2.0", "3", "1.4", "abc", "0.0"], strict=True)
    write_lines(tmp_path / "CTRs.csv", ["dicom_file,CTR", *(f"{d},{v}" for d, v in rows), "x,0.4"])
    write_lines(tmp_path / "CPARs.csv", [",dicom_id,CPAR", f"0,{dicom[0]},0.3"])
    tables = get_source("cxr-cardiomegaly").read(tmp_path)
    codes = dict(tables.rejects.select("row", "code").iter_rows())
    assert codes == {
        2: "sentinel", 3: "sentinel", 4: "out-of-range", 5: "bad-value", 6: "out-of-range",
        7: "bad-id",
    }  # fmt: skip
    assert tables.annotations.select("name", "value").rows() == [("ctr", 0.5), ("cpar", 0.3)]


def test_boxes_of_no_area_are_rejects(release, account_closes):
    root = release("ms-cxr")
    path = root / TABLES["ms-cxr"]
    lines = read_lines(path)
    cells = lines[1].split(",")
    cells[6] = "0"
    write_lines(path, [lines[0], ",".join(cells), *lines[2:]])
    tables = get_source("ms-cxr").read(root)
    assert tables.rejects.select("row", "code").rows() == [(1, "zero-area-box")]
    account_closes(tables)


def test_xywh_becomes_corners(release):
    root = release("ms-cxr")
    first = read_lines(root / TABLES["ms-cxr"])[1].split(",")
    x, y, w, h = map(float, first[4:8])
    box = get_source("ms-cxr").read(root).annotations.sort("row")["boxes"][0].to_list()
    assert box == [[x, y, x + w, y + h]]


def test_a_scene_graph_that_is_no_json_is_one_reject(release, account_closes):
    root = release("chest-imagenome")
    path = root / "silver_dataset/scene_graph.zip"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("scene_graph/0_SceneGraph.json", b"{no json")
        for number, image in ((1, "-".join(["0" * 8] * 5)), (2, "x")):
            graph = json.dumps({"image_id": image, "objects": []})
            archive.writestr(f"scene_graph/{number}_SceneGraph.json", graph)
    tables = get_source("chest-imagenome").read(root)
    codes = tables.rejects.select("key", "code").rows()
    assert ("scene_graph/0_SceneGraph.json", "bad-json") in codes
    assert ("scene_graph/1_SceneGraph.json", "no-box") in codes
    assert ("scene_graph/2_SceneGraph.json", "bad-id") in codes
    account_closes(tables)


def test_questions_without_answers_are_refused(tmp_path):
    folder = tmp_path / "mimiccxrvqa" / "dataset"
    folder.mkdir(parents=True)
    (folder / "_test.json").write_text("[]")
    with pytest.raises(ImaxrayError, match="without answers"):
        get_source("mimic-cxr-vqa").check(tmp_path)


@pytest.mark.parametrize("key", ["semantic_type", "answer", "question", "image_id", "content_type"])
def test_a_null_in_a_question_is_never_a_lost_row(tmp_path, account_closes, key):
    whole = {
        "image_id": "0" * 8 + "-" + "-".join(["0" * 8] * 4), "question": "Is there edema?",
        "answer": ["no"], "semantic_type": "verify", "content_type": "presence",
    }  # fmt: skip
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "train.json").write_text(json.dumps([whole, {**whole, key: None}]))
    tables = get_source("mimic-cxr-vqa").read(tmp_path)
    account_closes(tables)
    assert tables.annotations.height == 1 + (key == "content_type")


def test_consensus_beats_expert_beats_regex(phantom_releases):
    tables = get_source("mimic-cxr-pe-severity").read(phantom_releases["mimic-cxr-pe-severity"])
    best = tables.annotations.filter(pl.col("quality") != "regex").height
    assert best >= 2
    assert tables.rejects["code"].to_list().count("superseded") == best
    assert set(tables.hints["split"]) == {"test"} and tables.hints.height == best


def test_an_unreadable_image_is_a_reject_with_a_code(tmp_path, account_closes):
    root = tmp_path / "nih"
    (root / "images").mkdir(parents=True)
    grey = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    for name in ("00000001_000.png", "00000002_000.png"):
        Image.fromarray(grey).save(root / "images" / name)
    damaged = root / "images" / "00000002_000.png"
    damaged.write_bytes(damaged.read_bytes()[:500])  # header whole, pixels not
    (root / "images" / "00000003_000.png").write_text("no image")
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
    header += "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    rows = [f"0000000{k}_000.png,Effusion|Odd,0,{k},58,M,PA,9,9,1,1" for k in (1, 2, 3, 4)]
    write_lines(root / "Data_Entry_2017_v2020.csv", [header, *rows])
    box_rows = [
        "00000001_000.png,Infiltrate,512,512,256,256,,,",
        "00000001_000.png,Mass,1,1,0,5,,,",
    ]
    write_lines(
        root / "BBox_List_2017.csv", ["Image Index,Finding Label,Bbox [x,y,w,h],,,", *box_rows]
    )
    tables = get_source("nih-chestxray14").read(root)
    account_closes(tables)
    codes = tables.rejects.select("file", "row", "code").rows()
    table = "Data_Entry_2017_v2020.csv"
    assert (table, 3, "unreadable-image") in codes and (table, 4, "missing-image") in codes
    assert (table, 1, "unknown-label") in codes
    assert ("BBox_List_2017.csv", 2, "zero-area-box") in codes
    region = tables.annotations.filter(pl.col("kind") == "region").row(0, named=True)
    assert region["text"] == "infiltration" and region["boxes"] == [[32.0, 32.0, 48.0, 48.0]]
    catalog = build_catalog({"nih-chestxray14": root})
    rejected = catalog.rejects.filter(pl.col("key") == "nih-chestxray14/00000002_000.png")
    assert "unreadable-image" in rejected["code"].to_list()
