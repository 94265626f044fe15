"""Tests JSRT: raw 12-bit films, nodule boxes from sizes in millimetres, stated negatives."""

import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray import radiograph
from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source

SOURCE = get_source("jsrt")


@pytest.fixture
def release(small_releases, tmp_path):
    return shutil.copytree(small_releases("jsrt")["write"], tmp_path / "jsrt")


def ramp(path):
    """A whole .IMG: dense at the left, thin at the right, and one short stripe of each row."""
    columns = np.linspace(4095, 0, 2048).round().astype(">u2")
    np.repeat(columns[None], 2048, axis=0).tofile(path)


def test_labels_boxes_and_patients(release, account_closes):
    tables = SOURCE.read(release)
    account_closes(tables)
    assert tables.images.select("image_id", "view", "sex", "age", "width").rows() == [
        ("jsrt/JPCLN001", "PA", "F", 53, 64), ("jsrt/JPCLN002", "PA", "M", None, 64),
        ("jsrt/JPCLN003", "PA", "M", 71, 64), ("jsrt/JPCNN001", "PA", "M", 54, 64),
        ("jsrt/JPCNN002", "PA", "F", 61, 64),
    ]  # fmt: skip
    labels = tables.annotations.filter(pl.col("kind") == "label")
    assert labels.select("name", "value").rows() == [("Nodule", 1.0)] * 3 + [("Nodule", 0.0)] * 2
    regions = tables.annotations.filter(pl.col("kind") == "region")
    # 15 mm at 0.175 mm a pixel, about (1634, 692) of 2048; the image is 32 times smaller
    half = 15 / 0.175 / 2
    expected = [v / 32 for v in (1634 - half, 692 - half, 1634 + half, 692 + half)]
    np.testing.assert_allclose(regions["boxes"][0].to_list()[0], expected)
    assert regions["text"].to_list() == ["nodule"] * 3
    assert tables.rejects.is_empty()


def test_a_raw_film_is_read_dense_as_dark(release):
    for path in (release / "All247images").glob("JPCLN001.png"):
        path.unlink()
    raw = release / "All247images" / "JPCLN001.IMG"
    ramp(raw)
    assert radiograph.size(raw) == (2048, 2048)
    grey = radiograph.load(raw)
    assert grey.dtype == np.uint8 and grey.shape == (2048, 2048)
    assert (grey[0, 0], grey[0, -1]) == (0, 255) and (np.diff(grey[0].astype(int)) >= 0).all()
    assert radiograph.load(raw, stretch=True).max() == 255
    catalog = build_catalog({"jsrt": release})  # decodes it whole
    image = catalog.images.filter(pl.col("image_id") == "jsrt/JPCLN001").row(0, named=True)
    assert (image["path"], image["width"]) == ("All247images/JPCLN001.IMG", 2048)
    boxes = catalog.annotations.filter(
        pl.col("image_id") == "jsrt/JPCLN001", pl.col("kind") == "region"
    )["boxes"][0].to_list()
    half = 15 / 0.175 / 2
    np.testing.assert_allclose(boxes, [[1634 - half, 692 - half, 1634 + half, 692 + half]])
    assert set(catalog.entries["task"]) == {"findings", "rec", "reg"}


def test_a_damaged_raw_film_is_refused(release, account_closes):
    folder = release / "All247images"
    (folder / "JPCLN001.png").rename(folder / "JPCLN001.IMG")  # a wrong name, not a raw film
    tables = SOURCE.read(release)
    account_closes(tables)
    assert tables.rejects.select("row", "code").rows() == [(1, "unreadable-image")]
    with pytest.raises(ImaxrayError, match="readable image"):
        radiograph.size(folder / "JPCLN009.IMG")
    swapped = folder / "JPCLN002.IMG"
    ramp(swapped)
    np.fromfile(swapped, dtype=">u2").astype("<u2").tofile(swapped)
    with pytest.raises(ImaxrayError, match="readable image"):
        radiograph.load(swapped)


def test_copies_of_the_tables(release, account_closes):
    before = SOURCE.read(release)
    table = release / "CLNDAT_EN.txt"
    content = table.read_bytes()
    moved = release / "Clinical_Information"
    moved.mkdir()
    for changed in (content.replace(b"\r\n", b"\n"), content.replace(b"\r\n", b"\r"),
                    content.replace(b"\r\n", b""), b"\xef\xbb\xbf" + content,
                    content.replace(b"\t", b" ")):  # fmt: skip
        table.write_bytes(changed)
        tables = SOURCE.read(release)
        account_closes(tables)
        assert tables.annotations.equals(before.annotations)
    table.rename(moved / "CLNDAT_EN.TXT")
    assert SOURCE.read(release).annotations.drop("file").equals(before.annotations.drop("file"))


def test_bad_records_are_rejects(release, account_closes):
    table = release / "CLNDAT_EN.txt"
    bad = [
        "JPCLN001.IMG\t5\tx\t53\tFemale\t1634\t692", "JPCLN001.IMG\t5\t-15\t53\tFemale\t1\t6",
        "JPCLN001.IMG\t5\t15\t53\tFemale\t3000\t6", "JPCLN001.IMG\t5\t15\t53\tFemale\tNaN\t6",
        "JPCLN001.IMG\t5", "JPCNN001.IMG\t54\tmale\tnon-nodule", "x\t5\t15",
        "\t\t\t", "JPCLN150.IMG\t5\t15\t53\tFemale\t1\t6", "JPCLN001.IMG\t5\t1e9\t5\tF\t1\t6",
    ]  # fmt: skip
    table.write_text(table.read_text() + "\n".join(bad) + "\n")
    tables = SOURCE.read(release)
    account_closes(tables)
    assert sorted(tables.rejects.select("row", "code").rows()) == [
        (4, "bad-value"), (5, "bad-value"), (6, "bad-value"), (7, "bad-value"), (8, "bad-value"),
        (9, "bad-id"), (10, "bad-id"), (11, "missing-image"), (12, "bad-value"),
    ]  # fmt: skip


def test_missing_files_and_foreign_tables(release):
    table = release / "CLNDAT_EN.txt"
    for text in ("", "filename\tsize\n", "JPCNN001.IMG\t5\t15\t53\tF\t1\t1\n", "JPCLN001.IMG\t5\n"):
        table.write_text(text)
        with pytest.raises(ImaxrayError, match="Expected records that start with JPCLN001"):
            SOURCE.check(release)
    table.unlink()
    with pytest.raises(ImaxrayError, match="Expected CLNDAT_EN"):
        SOURCE.check(release)
    table.write_text("JPCLN001.IMG\t5\t15\t53\tFemale\t1634\t692\n")
    shutil.rmtree(release / "All247images")
    with pytest.raises(ImaxrayError, match="unpack the images"):
        SOURCE.check(release)


def test_jpeg_conversions_are_read(release, account_closes):
    whole = SOURCE.read(release)
    for path in sorted((release / "All247images").glob("*.png")):
        with Image.open(path) as image:
            image.convert("L").save(path.with_suffix(".jpg"))
        path.unlink()
    copy = SOURCE.read(release)
    account_closes(copy)
    assert copy.annotations.equals(whole.annotations)
    assert copy.images["path"].str.ends_with(".jpg").all() and copy.rejects.is_empty()
