"""Tests audits of Parquet files whose images lie beside them or in them."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imaxray.audit import audit_dataset
from imaxray.errors import ImaxrayError


def png(seed, shape=(48, 64)):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def row(*contents, name=None, answer="A chest.", **more):
    turns = [{"role": "user", "content": "<image>" * len(contents) + "What is shown?"},
             {"role": "assistant", "content": answer}]  # fmt: skip
    images = [{"bytes": content, "path": name} for content in contents]
    return {"messages": turns, "images": images, **more}


def write(path, rows, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)


def codes(result):
    return [(issue.code, issue.split) for issue in result.issues]


def test_shards_of_the_hub_are_read(tmp_path):
    """``data/train-00000-of-00002.parquet`` names a split, and no source."""
    for number in range(2):
        rows = [row(png(number), patient_id=f"p{number}", source=None)]
        write(tmp_path / "data" / f"train-0000{number}-of-00002.parquet", rows)
    write(tmp_path / "data" / "test-00000-of-00001.parquet", [row(png(5), patient_id="p1")])
    report = audit_dataset(tmp_path)
    assert codes(report) == [("patient-over-splits", "train+test")]  # of one source
    assert (report.images, report.entries) == (3, 3)


def test_images_of_one_name_are_told_apart_by_their_bytes(tmp_path):
    write(tmp_path / "train.parquet", [row(png(1), name="a.png"), row(png(2), name="a.png"),
                                       row(png(1), name="a.png", answer="Again.")])  # fmt: skip
    report = audit_dataset(tmp_path / "train.parquet")
    assert report.issues == () and report.images == 2
    write(tmp_path / "test.parquet", [row(png(2), name="a.png")])
    assert codes(audit_dataset(tmp_path)) == [("image-over-splits", "train+test")]


@pytest.mark.parametrize("workers", [1, 2])
def test_each_image_of_many_row_groups_is_found(tmp_path, workers):
    """Images are found by row and number, over row groups and files of several processes."""
    many = [row(png(3 * n), png(3 * n + 1), png(3 * n + 2)) for n in range(50)]
    many[17]["images"][2]["bytes"] = many[40]["images"][1]["bytes"][:-9] + b"x" * 9
    many[33]["images"][1]["bytes"] = b"no image"
    write(tmp_path / "train.parquet", many, row_group_size=7)
    report = audit_dataset(tmp_path / "train.parquet", workers=workers)
    assert report.images == 150
    assert [c for c, _ in codes(report)] == ["broken-image"] * 2


def test_a_column_of_one_image(tmp_path):
    one = row(png(1))
    one["image"] = one.pop("images")[0]
    write(tmp_path / "train.parquet", [one])
    report = audit_dataset(tmp_path / "train.parquet")
    assert report.issues == () and report.images == 1


def test_boxes_are_compared_with_the_size_of_the_image(tmp_path):
    objects = {"ref": ["heart"], "bbox": [[0, 0, 65, 48]], "bbox_type": "real"}
    one = row(png(1), answer="<bbox>", objects=objects)
    write(tmp_path / "train.parquet", [one])
    assert codes(audit_dataset(tmp_path / "train.parquet")) == [("box-outside-frame", "train")]


def test_paths_in_parquet_are_relative_to_the_dataset(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png(1))
    one = row(None, name="images/a.png")
    write(tmp_path / "data" / "train.parquet", [one])
    assert audit_dataset(tmp_path).issues == ()
    bad = {**one, "messages": json.loads("[]")}
    write(tmp_path / "data" / "train.parquet", [one, bad])
    assert codes(audit_dataset(tmp_path)) == [("bad-record", "train")]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"hello", None])
def test_a_file_that_is_no_parquet_is_a_sentence(tmp_path, content):
    path = tmp_path / "train.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImaxrayError, match="Expected a Parquet file"):
        audit_dataset(path)
