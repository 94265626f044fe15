"""Tests Open-I: files of NLM and of Kaggle give the same data, and faults give error messages."""

import io
import shutil
import tarfile

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from imaxray.sources._shared.collections.open_i import (
    image_key,
    labels_of,
    one_view,
    parse_report,
)

SOURCE = get_source("open-i")
REPORT = '<eCitation><uId id="CXR{}"/>{}<parentImage id="CXR{}_IM-0001-1001"/></eCitation>'


@pytest.fixture
def variants(small_releases):
    return small_releases("open-i")


@pytest.fixture
def nlm(variants, tmp_path):
    return shutil.copytree(variants["write_nlm"], tmp_path / "nlm")


@pytest.fixture
def kaggle(variants, tmp_path):
    return shutil.copytree(variants["write_kaggle"], tmp_path / "kaggle")


def facts(tables):
    columns = ("study_id", "kind", "name", "value", "text")
    return sorted(tables.annotations.select(columns).rows(), key=repr)


def write_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_reports_labels_and_views(nlm, account_closes):
    tables = SOURCE.read(nlm)
    account_closes(tables)
    assert facts(tables) == sorted([
        ("open-i/CXR1", "report", "findings", None, "The XXXX are clear. <b> & so on."),
        ("open-i/CXR1", "report", "impression", None, "Normal chest."),
        ("open-i/CXR1", "label", "No Finding", 1.0, None),
        ("open-i/CXR2", "report", "findings", None, "Heart size at the upper limit."),
        ("open-i/CXR2", "label", "Cardiomegaly", -1.0, None),
        ("open-i/CXR2", "label", "Lung Opacity", 1.0, None),
        ("open-i/CXR3", "label", "Edema", 1.0, None),
        ("open-i/CXR4", "label", "Cardiomegaly", 1.0, None),
        ("open-i/CXR4", "label", "Pleural Effusion", 1.0, None),
        ("open-i/CXR4", "report", "findings", None, "Small effusion."),
        ("open-i/CXR4", "report", "impression", None, "Effusion, XXXX."),
    ], key=repr)  # fmt: skip
    images = tables.images.select("image_id", "patient_id", "view", "width", "height").rows()
    assert sorted(images) == [
        ("open-i/CXR1_IM-0001-3001", "open-i/CXR1", "LATERAL", 24, 20),
        ("open-i/CXR1_IM-0001-4001", "open-i/CXR1", "PA", 24, 20),
        ("open-i/CXR2_IM-0652-1001", "open-i/CXR2", "AP", 24, 20),
        ("open-i/CXR3_IM-1384-1001", "open-i/CXR3", "FRONTAL", 24, 20),
        ("open-i/CXR3_IM-1384-2001", "open-i/CXR3", "LATERAL", 24, 20),
    ]
    assert sorted(tables.rejects.select("row", "code").rows()) == [
        (2, "unmapped-label"),
        (3, "empty-text"),
        (4, "no-image"),
    ]
    assert [file.file for file in tables.files] == SOURCE.check(nlm)
    assert set(tables.annotations["origin"]) == {"human"}
    assert set(tables.annotations["quality"]) == {"mesh", "report"}


def test_the_mirrors_say_the_same(variants, account_closes):
    nlm, kaggle = (SOURCE.read(variants[v]) for v in ("write_nlm", "write_kaggle"))
    account_closes(kaggle)
    assert facts(nlm) == facts(kaggle)
    columns = ("image_id", "patient_id", "study_id", "view", "width")
    assert sorted(nlm.images.select(columns).rows()) == sorted(kaggle.images.select(columns).rows())


def test_without_projections_only_a_caption_of_one_view_tells(variants, account_closes):
    tables = SOURCE.read(variants["write_unpacked"])
    account_closes(tables)
    views = dict(tables.images.select("image_id", "view").iter_rows())
    assert {i: v for i, v in views.items() if v} == {"open-i/CXR2_IM-0652-1001": "AP"}
    assert facts(tables) == facts(SOURCE.read(variants["write_nlm"]))


def test_the_catalog_gives_reports_to_frontal_images_and_cleans_marks(variants):
    for variant in ("write_nlm", "write_kaggle"):
        catalog = build_catalog({"open-i": variants[variant]})
        reports = catalog.annotations.filter(
            pl.col("kind") == "report", pl.col("name") == "findings"
        )
        texts = dict(reports.select("image_id", "text").iter_rows())
        assert texts["open-i/CXR1_IM-0001-4001"] == "<b> & so on."
        assert set(texts) == {"open-i/CXR1_IM-0001-4001", "open-i/CXR2_IM-0652-1001"}
        assert (
            catalog.account["rows_in"] == catalog.account["kept"] + catalog.account["rejected"]
        ).all()
        assert set(catalog.entries["task"]) == {"report", "findings"}


def test_bad_members_are_rejects(nlm, account_closes):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><eCitation>&b;</eCitation>'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><eCitation>&a;</eCitation>'
    good = REPORT.format(1, '<AbstractText Label="FINDINGS">x</AbstractText>', 1)
    write_tar(nlm / "NLMCXR_reports.tgz", [
        ("a/01.xml", b"<eCitation><uId id='CXR1'>"),
        ("a/02.xml", bomb),
        ("a/03.xml", outside),
        ("a/04.xml", b""),
        ("a/05.xml", b"\x00\xff\xfe"),
        ("a/06.xml", REPORT.format("x", "", 1).encode()),
        ("a/07.xml", REPORT.format(9, "", "1").encode()),
        ("a/08.xml", REPORT.format(9, "", "../../1").encode()),
        ("a/09.xml", REPORT.format(9, "", 9).encode()),
        ("a/10.xml", good.encode("utf-16")),
        ("a/11.xml", b"<?xml version='1.0' encoding='odd'?><eCitation/>"),
        ("a/12.xml", b" " * (17 * 2**20)),
        ("a/readme.txt", b"not a report"),
    ])  # fmt: skip
    (nlm / "indiana_projections.csv").unlink()
    tables = SOURCE.read(nlm)
    account_closes(tables)
    codes = {row: code for row, code in tables.rejects.select("row", "code").iter_rows()
             if code != "empty-text"}  # fmt: skip
    assert codes == {
        1: "bad-xml", 2: "bad-xml", 3: "bad-xml", 4: "bad-xml", 5: "bad-xml", 6: "bad-id",
        7: "bad-id", 8: "path-outside-release", 9: "missing-image", 10: "missing-image",
        11: "bad-xml", 12: "bad-xml",
    }  # fmt: skip
    assert tables.annotations["row"].to_list() == [10]


def test_bad_rows_of_the_mirror_are_rejects(kaggle, account_closes):
    reports = kaggle / "indiana_reports.csv"
    reports.write_text(reports.read_text() + "x,normal,,,,,a,b\n,,,,,,,\n-1,,,,,,a,b\n77,,,,,,,\n")
    table = kaggle / "indiana_projections.csv"
    damaged = kaggle / "images/images_normalized/2_IM-0652-1001.dcm.png"
    damaged.write_bytes(b"no image")
    rows = ("1,../1_IM-0001-3001.dcm.png,Frontal", "2,1_IM-0001-4001.dcm.png,Frontal",
            "x,1_IM-0001-4001.dcm.png,Frontal", "3,3_IM-1384-1001.dcm.png,Oblique",
            "9,9_IM-0001-0001.dcm.png,Lateral", "9,,")  # fmt: skip
    table.write_text(table.read_text() + "\n".join(rows) + "\n")
    tables = SOURCE.read(kaggle)
    account_closes(tables)
    codes = tables.rejects.select("file", "row", "code").rows()
    assert sorted(codes) == sorted([
        ("indiana_projections.csv", 3, "unreadable-image"),
        ("indiana_projections.csv", 6, "path-outside-release"),
        ("indiana_projections.csv", 7, "bad-id"),
        ("indiana_projections.csv", 8, "bad-id"),
        ("indiana_projections.csv", 9, "bad-value"),
        ("indiana_projections.csv", 10, "missing-image"),
        ("indiana_projections.csv", 11, "bad-value"),
        ("indiana_projections.csv", 11, "bad-id"),
        ("indiana_reports.csv", 2, "unmapped-label"),
        ("indiana_reports.csv", 3, "empty-text"),
        *[("indiana_reports.csv", row, "bad-id") for row in (5, 6, 7)],
        ("indiana_reports.csv", 8, "empty-text"),
    ])  # fmt: skip


def test_what_is_missing_or_damaged_is_one_sentence(nlm, kaggle, tmp_path):
    with pytest.raises(ImaxrayError, match=r"Expected NLMCXR_reports\.tgz or"):
        SOURCE.check(tmp_path)
    path = nlm / "NLMCXR_reports.tgz"
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ImaxrayError, match="Expected"):
            SOURCE.read(nlm)
    write_tar(path, [("a/readme.txt", b"no report")])
    with pytest.raises(ImaxrayError, match=r"end in \.xml"):
        SOURCE.read(nlm)
    path.write_bytes(whole)
    shutil.rmtree(nlm / "NLMCXR_png")
    (nlm / "NLMCXR_png.tgz").write_bytes(whole)
    with pytest.raises(ImaxrayError, match=r"unpack NLMCXR_png\.tgz"):
        SOURCE.check(nlm)
    (kaggle / "indiana_projections.csv").unlink()
    with pytest.raises(ImaxrayError, match=r"Expected indiana_projections\.csv"):
        SOURCE.check(kaggle)


def test_names_terms_and_captions():
    same = ("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-3001.png", "1_IM-0001-3001.dcm.png")
    assert {image_key(name) for name in same} == {"CXR1_IM-0001-3001"}
    assert image_key("CXR2_IM-0652-1001-0001") == "CXR2_IM-0652-1001-0001"
    assert image_key("../CXR2_IM-0652") is None and image_key("") is None
    # the surer of two statements about one finding counts
    assert labels_of(["Cardiomegaly/borderline", "Cardiomegaly/mild"]) == {"Cardiomegaly": 1.0}
    assert labels_of(["Nodule", "Nodule/lung/hilum", "Cysts", "", "Airspace Disease"]) == {
        "Nodule": 1
    }
    assert one_view("Chest PA and lateral") is None and one_view("PA CHEST") == "PA"
    assert one_view("Chest, 1 view") is None
    assert parse_report(b"<eCitation/>").uid == ""
