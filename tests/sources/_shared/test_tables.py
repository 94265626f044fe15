"""Tests paths, boxes and numbers of source tables."""

import gzip
import zipfile

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.sources import find_image, is_inside, leaves_release
from imaxray.sources._checks.reading import reading
from imaxray.sources._shared.files.tables import read_csv, read_header


@given(st.lists(st.text(alphabet="./\\:ab\n ", max_size=12), min_size=1, max_size=20))
def test_a_column_of_paths_is_judged_as_each_path_is(paths):
    outside = pl.DataFrame({"path": paths}).select(leaves_release("path")).to_series()
    assert outside.to_list() == [not is_inside(path) for path in paths]


def test_paths_that_leave_a_release():
    for path in ("../x.png", "/etc/passwd", "a/../../x", "C:\\x", "a\\..\\b"):
        assert not is_inside(path)
    assert is_inside("files/p10/a..b.jpg")


def test_a_header_that_splits_otherwise_is_one_sentence(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\r[[\r\n1,2\n")  # ends after b for one parser, not for the other
    with pytest.raises(ImaxrayError, match="Expected"):
        read_csv(path, ("a", "b"))


def test_a_damaged_header_is_one_sentence(tmp_path):
    path = tmp_path / "x.csv.gz"
    packed = gzip.compress(b"a,b\n" * 5000, 9)
    path.write_bytes(packed[:12] + b"\xff\xff\xff" + packed[15:])
    with pytest.raises(ImaxrayError, match="damaged"):
        read_header(path)
    path = tmp_path / "x.csv"
    path.write_text('"' + "x" * 200_000)  # beyond the csv module's field limit
    with pytest.raises(ImaxrayError, match="damaged"):
        read_header(path)


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", ".", 1) if "/" not in name else name, text)
    return path


def test_a_zipped_table_is_read(tmp_path):
    path = zipped(tmp_path / "x.csv.zip", x_csv="\ufeffa,b\n1,\n", readme_txt="no table",
                  **{"__MACOSX/._x.csv": "resource"})  # fmt: skip
    assert read_header(path) == ["a", "b"]
    assert read_csv(path, ("a", "b")).rows() == [(1, "1", None)]


def test_a_zip_that_is_damaged_or_holds_no_one_table_is_one_sentence(tmp_path):
    several = zipped(tmp_path / "x.csv.zip", x_csv="a\n1\n", y_csv="a\n1\n")
    none = zipped(tmp_path / "y.csv.zip", readme_txt="no table")
    cut = tmp_path / "z.csv.zip"
    cut.write_bytes(several.read_bytes()[:40])
    for path in (several, none, cut):
        for look in (read_header, lambda p: read_csv(p, ("a",))):
            with pytest.raises(ImaxrayError, match="damaged"):
                look(path)


def test_an_image_is_found_within_its_release_only(tmp_path):
    root = tmp_path / "release"
    (root / "files").mkdir(parents=True)
    for file in (tmp_path / "out.png", root / "files" / "a.png"):
        file.touch()
    (root / "inner.png").symlink_to(root / "files" / "a.png")
    (root / "outer.png").symlink_to(tmp_path / "out.png")
    (root / "up").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(root)
    for path in ("files/a.png", "inner.png", "files/gone.png"):
        assert find_image(root, path) == root / path
        assert find_image(tmp_path / "other", path) == tmp_path / "other" / path
    for path in ("outer.png", "up/out.png", "../out.png", "/etc/passwd", "a\0b", "", None):
        assert find_image(root, path) is None


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_a_table_that_unpacks_to_gigabytes_is_refused(tmp_path, kind):
    content = b"a,b\n" + b"0,0\n" * 40_000_000  # 160 MB of 160 KB
    path = tmp_path / f"x.csv.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(content, 6))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.csv", content)
    with pytest.raises(ImaxrayError, match="unpacks to more than"):
        read_csv(path, ("a", "b"))


def test_a_table_of_too_many_rows_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "0,0\n" * 50)
    assert read_csv(path, ("a", "b")).height == 50
    monkeypatch.setattr("imaxray.sources._shared.files.tables.MAX_TABLE_ROWS", 40)
    with pytest.raises(ImaxrayError, match="more than 40 rows"):
        read_csv(path, ("a", "b"))


def test_unnamed_columns_at_the_end_may_be_left_out_of_rows(tmp_path):
    """ChestX-ray14's table of boxes has unnamed columns in its header and none in its rows."""
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    (tmp_path / "BBox.csv").write_text(
        header + "a.png,Atelectasis,1,2,3,4\nb.png,Mass,1,2,3,4,,,\nc.png,Mass,1,2,3,4,,,,9\n"
        "d.png,Mass,1,2,3\n"
    )
    with reading("utf-8") as notes:
        table = read_csv(tmp_path / "BBox.csv", ["Image Index"])
    assert table["row"].to_list() == [1, 2] and table["Image Index"].to_list() == ["a.png", "b.png"]
    faults = notes.faults[tmp_path / "BBox.csv"]
    assert [fault[:2] for fault in faults] == [(3, "ragged-row"), (4, "ragged-row")]
