"""Tests the three open releases as they were downloaded."""

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from imaxray.sources.wingspan_ctr import ctr_agreement


def test_wingspan_counts(open_cxr):
    tables = get_source("wingspan-ctr").read(open_cxr / "wingspan-ctr")
    assert tables.images.height == 259
    # one heart outgrows the lungs that are left
    assert tables.rejects["code"].to_list() == ["out-of-range"]
    ratios = tables.annotations.filter(pl.col("kind") == "measurement")
    assert sorted(ratios.group_by("name", "quality").len().rows()) == [
        ("cpar", "mask", 258),
        ("ctr", "mask", 38),
        ("ctr", "stated", 221),
    ]
    assert ratios["value"].is_between(0.1, 1.0).all()
    # the patient's right lung lies on the image's left
    boxes = tables.annotations.filter(pl.col("kind") == "region")
    left = {
        name: boxes.filter(pl.col("name") == name)["boxes"].list.first().list.first().mean()
        for name in ("right lung", "left lung")
    }
    assert left["right lung"] < left["left lung"]


def test_ctr_of_the_masks_agrees_with_the_human_one(open_cxr):
    table = ctr_agreement(open_cxr / "wingspan-ctr")
    assert table.height == 221
    assert table["difference"].abs().mean() < 0.002
    # masks are 512-pixel copies: no difference reaches two of their pixels
    assert (table["difference"].abs() * table["lungs_px"]).max() < 2


def test_the_release_remarks_on_its_own_agreement(open_cxr):
    source = get_source("wingspan-ctr")
    (remark,) = source.remarks(open_cxr / "wingspan-ctr")
    assert "221 images" in remark and "0.0012" in remark
    assert get_source("vqa-rad").remarks(open_cxr / "vqa-rad") == []


def test_nih_counts(open_cxr):
    tables = get_source("nih-chestxray14").read(open_cxr / "nih-chestxray14")
    assert tables.images.height == 124
    assert {file.file: file.rows for file in tables.files} == {
        "Data_Entry_2017_v2020.csv": 112120,
        "BBox_List_2017.csv": 984,
    }
    missing = tables.rejects.filter(pl.col("code") == "missing-image")
    assert missing["file"].value_counts().height == 2
    boxed = tables.annotations.filter(pl.col("kind") == "region")["image_id"].n_unique()
    assert boxed == 44


def test_vqa_rad_counts(open_cxr):
    tables = get_source("vqa-rad").read(open_cxr / "vqa-rad")
    assert tables.images.height == 107
    assert tables.annotations.height == 1262
    assert set(tables.rejects["code"]) == {"not-chest"}


def test_the_open_catalog_has_five_tasks_and_closes_its_account(open_cxr):
    names = ("wingspan-ctr", "nih-chestxray14", "vqa-rad")
    catalog = build_catalog({name: open_cxr / name for name in names}, verify=False)
    assert set(catalog.entries["task"]) == {"calculation", "findings", "rec", "reg", "vqa"}
    sums = catalog.account.select(pl.col("rows_in") - pl.col("kept") - pl.col("rejected"))
    assert sums.to_series().to_list() == [0] * catalog.account.height


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(ImaxrayError, match="did you mean wingspan-ctr"):
        get_source("wingspan-crt")
