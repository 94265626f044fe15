"""Tests that statements of several readers are combined to one statement."""

import numpy as np
import polars as pl
import pytest

from imaxray.boxes import iou
from imaxray.curation.joining.readers import ReadersConfig, settle_readers
from imaxray.schema import ANNOTATIONS, IMAGES, conform

IMAGE = conform(
    pl.DataFrame({"image_id": ["v/a"], "patient_id": ["v/a"], "width": [1000], "height": [2000],
                  "path": ["a"], "source": ["v"], "file": ["f"], "row": [1]}),
    IMAGES,
)  # fmt: skip


def facts(*rows):
    """Rows of (kind, name, value, box, reader)."""
    table = pl.DataFrame(
        {
            "image_id": "v/a",
            "kind": [row[0] for row in rows],
            "name": [row[1] for row in rows],
            "value": pl.Series([row[2] for row in rows], dtype=pl.Float64),
            "text": [row[1].lower() if row[0] == "region" else None for row in rows],
            "boxes": [None if row[3] is None else [list(map(float, row[3]))] for row in rows],
            "reader": [row[4] for row in rows],
            "origin": "human", "quality": "reader", "source": "v", "file": "f",
            "row": range(1, len(rows) + 1),
        }
    )  # fmt: skip
    return conform(table, ANNOTATIONS).with_columns(pl.lit(0, dtype=pl.UInt32).alias("_image"))


THREE = facts(
    ("region", "Nodule", None, (100, 200, 200, 300), "R1"),
    ("region", "Nodule", None, (110, 210, 210, 310), "R2"),
    ("region", "Nodule", None, (105, 205, 205, 305), "R3"),
    ("region", "Nodule", None, (700, 1500, 800, 1600), "R3"),
    ("region", "Mass", None, (400, 400, 500, 500), None),
)


def test_wbf_fuses_what_overlaps_and_keeps_what_does_not():
    pytest.importorskip("ensemble_boxes")
    kept, rejects = settle_readers(THREE, IMAGE, ReadersConfig())
    nodules = kept.filter(pl.col("name") == "Nodule")
    boxes = [row[0] for row in nodules["boxes"].to_list()]
    np.testing.assert_allclose(sorted(boxes)[0], [105, 205, 205, 305], atol=0.1)
    np.testing.assert_allclose(sorted(boxes)[1], [700, 1500, 800, 1600], atol=0.1)
    assert sorted(nodules["quality"].cast(pl.String)) == ["wbf 1/3", "wbf 3/3"]
    assert nodules["reader"].null_count() == 2
    # the fact that names no reader is as it was, and every row is kept or rejected
    assert kept.filter(pl.col("name") == "Mass").row(0) == THREE.row(4)
    assert set(kept["row"]) | set(rejects["row"]) == {1, 2, 3, 4, 5}
    assert not set(kept["row"]) & set(rejects["row"])
    assert set(rejects["code"].cast(pl.String)) == {"merged-readers"}


def test_union_is_the_hull_of_boxes_that_overlap():
    kept, _ = settle_readers(THREE, IMAGE, ReadersConfig(boxes="union"))
    boxes = sorted(row[0] for row in kept.filter(pl.col("name") == "Nodule")["boxes"].to_list())
    np.testing.assert_allclose(boxes[0], [100, 200, 210, 310])
    np.testing.assert_allclose(boxes[1], [700, 1500, 800, 1600])


def test_keep_all_changes_nothing():
    kept, rejects = settle_readers(THREE, IMAGE, ReadersConfig(boxes="keep-all"))
    assert kept.equals(THREE) and rejects.is_empty()


@pytest.mark.parametrize(
    ("policy", "values", "expected"),
    [
        ("majority", (1, 1, 0), 1), ("majority", (1, 0, 0), 0), ("majority", (1, 0), -1),
        ("any", (1, 0, 0), 1), ("any", (0, 0, 0), 0), ("any", (-1, -1), -1),
    ],
)  # fmt: skip
def test_labels(policy, values, expected):
    rows = [("label", "Edema", value, None, f"R{k}") for k, value in enumerate(values)]
    kept, rejects = settle_readers(facts(*rows), IMAGE, ReadersConfig(labels=policy))
    assert kept["value"].to_list() == [expected]
    agree = values.count(expected)
    assert kept["quality"].cast(pl.String).to_list() == [f"{policy} {agree}/{len(values)}"]
    assert rejects.height == len(values) - 1
    # the row that stands for the agreement says what was agreed on, where one does
    if agree:
        assert values[kept["row"].item() - 1] == expected


def test_two_boxes_of_one_reader_stay_two():
    apart = facts(
        ("region", "Nodule", None, (0, 0, 100, 100), "R1"),
        ("region", "Nodule", None, (500, 500, 600, 600), "R1"),
    )
    kept, _ = settle_readers(apart, IMAGE, ReadersConfig(boxes="union"))
    a, b = (row[0] for row in kept["boxes"].to_list())
    assert iou(tuple(a), tuple(b)) == 0
