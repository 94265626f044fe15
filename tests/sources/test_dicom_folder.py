"""Tests folders of DICOM files: the files that become images, and the reject codes of others."""

import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from sources.releases.dicom_folder import GREY

SOURCE = get_source("dicom-folder")


@pytest.fixture
def folder(small_releases, tmp_path):
    return shutil.copytree(small_releases("dicom-folder")["write"], tmp_path / "archive")


def test_ids_and_facts_come_from_the_tags(folder, read):
    tables = read(folder)
    rows = tables.images.drop("split", "source", "file").rows()
    assert rows == [
        ("dicom/1.1", "dicom/P1", "dicom/1.9", "a/1.dcm", 8, 6, "PA", "F", 64, 1),
        ("dicom/1.2", "dicom/P1", "dicom/1.9", "a/2", 5, 6, "LL", None, None, 2),
        ("dicom/1.3", "dicom/2.9", "dicom/2.9", "b/3.dcm", 8, 6, None, None, None, 3),
        ("dicom/1.4", "dicom/1.4", None, "b/4.dcm", 8, 6, None, None, None, 4),
    ]
    assert tables.annotations.is_empty() and tables.rejects.is_empty()


def test_everything_else_is_a_reject_with_a_code(folder, write_dicom, read):
    write_dicom(folder / "c/frames.dcm", GREY, NumberOfFrames=2)
    write_dicom(folder / "c/report.dcm", Modality="SR")
    write_dicom(folder / "c/ct.dcm", GREY, Modality="CT")
    write_dicom(folder / "c/hand.dcm", GREY, BodyPartExamined="HAND")
    write_dicom(folder / "c/nobody.dcm", GREY, SOPInstanceUID=None)
    write_dicom(folder / "c/rgb.dcm", GREY, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    write_dicom(folder / "c/video.dcm", GREY, frames=b"\xfe\xff\x00\xe0\0\0\0\0" * 2,
                syntax="1.2.840.10008.1.2.4.100")  # fmt: skip
    write_dicom(folder / "c/large.dcm", GREY, Rows=60000, Columns=60000)
    (folder / "c/notes.txt").write_text("no DICOM")
    (folder / "c/broken.dcm").write_bytes(b"no DICOM either")
    (folder / "c/gone.dcm").symlink_to(folder / "nowhere")
    tables = read(folder)
    assert tables.images.height == 4
    assert dict(tables.rejects.select(pl.col("key").str.strip_prefix("c/"), "code").rows()) == {
        "frames.dcm": "multi-frame", "report.dcm": "no-pixels", "ct.dcm": "other-modality",
        "hand.dcm": "not-chest", "nobody.dcm": "bad-id", "rgb.dcm": "not-greyscale",
        "video.dcm": "no-decoder", "large.dcm": "too-large", "notes.txt": "not-dicom",
        "broken.dcm": "unreadable-image", "gone.dcm": "unreadable-image",
    }  # fmt: skip


def test_the_catalog(folder, write_dicom):
    write_dicom(folder / "z/again.dcm", GREY, SOPInstanceUID="1.1")
    whole = (folder / "b/4.dcm").read_bytes()
    (folder / "b/4.dcm").write_bytes(whole[:-40])  # header whole, pixels not
    catalog = build_catalog({"dicom-folder": folder})
    assert catalog.images["image_id"].to_list() == ["dicom/1.1", "dicom/1.2", "dicom/1.3"]
    assert catalog.rejects.select("row", "code").rows() == [
        (4, "unreadable-image"), (5, "duplicate-image"),
    ]  # fmt: skip
    assert catalog.account.select("rows_in", "kept", "rejected").rows() == [(5, 3, 2)]


def test_the_fingerprint_is_of_names_and_contents(folder, write_dicom, read):
    (first,) = read(folder).files
    (again,) = read(folder).files
    assert first == again
    (folder / "a/2").rename(folder / "a/22")
    (named,) = read(folder).files
    write_dicom(folder / "b/3.dcm", GREY + 1, SOPInstanceUID="1.3")
    (filled,) = read(folder).files
    assert len({first.sha256, named.sha256, filled.sha256}) == 3


def test_processes_change_nothing(tmp_path, write_dicom):
    one = write_dicom(tmp_path / "in/0.dcm", GREY).read_bytes()
    for k in range(1, 502):
        (tmp_path / f"in/{k}.dcm").write_bytes(one)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        shared = SOURCE.read_with(tmp_path / "in", pool)
    alone = SOURCE.read(tmp_path / "in")
    assert shared.images.equals(alone.images) and shared.files == alone.files


def test_a_folder_without_dicom(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    with pytest.raises(ImaxrayError, match="Expected DICOM files"):
        SOURCE.check(tmp_path)


def test_a_damaged_transfer_syntax_is_not_repeated(folder, read):
    path = folder / "a/1.dcm"
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1", b"1.2\x1b840.10008.1.2.1"))
    (message,) = read(folder).rejects["message"]
    assert message.startswith("no decoder for transfer syntax unknown;")
