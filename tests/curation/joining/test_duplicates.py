"""Tests the handling of one radiograph under two ids."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import CurationConfig, build_catalog
from imaxray.curation.joining.duplicates import (
    DuplicatesConfig,
    hash_images,
    join_duplicates,
)
from imaxray.curation.joining.splits import SplitConfig, assign_splits
from imaxray.perceptual import near_pairs
from imaxray.schema import IMAGES, SPLIT_HINTS, conform, empty


def table(*patients):
    return conform(
        pl.DataFrame(
            {"image_id": [f"x/{k}" for k in range(len(patients))], "patient_id": patients,
             "path": [f"{k}.png" for k in range(len(patients))], "width": 64, "height": 64,
             "source": "x", "file": "f", "row": range(1, len(patients) + 1)}
        ),
        IMAGES,
    )  # fmt: skip


def test_drop_keeps_the_first_and_binds_the_patients():
    images = table("p", "q", "r")
    hashes = np.array([[5] * 32, [5] * 32, [255] * 32], dtype=np.uint8)
    kept, rejects, bound = join_duplicates(images, hashes, DuplicatesConfig(effect="drop"))
    assert kept["image_id"].to_list() == ["x/0", "x/2"]
    assert rejects.select("key", "code").rows() == [("x/1", "near-duplicate")]
    assert bound == [frozenset({"p", "q"})]
    kept, rejects, bound = join_duplicates(images, hashes, DuplicatesConfig(effect="report"))
    assert kept.height == 3 and rejects.is_empty() and len(bound) == 1


def test_bound_patients_share_the_split_that_a_test_set_holds():
    images = table("p", "q", "r", "s")
    hint = conform(
        pl.DataFrame({"patient_id": ["q"], "split": ["test"], "source": ["x"], "file": ["h"],
                      "row": [1]}),
        SPLIT_HINTS,
    )  # fmt: skip
    bound = [frozenset({"p", "q"}), frozenset({"q", "r"})]
    split, _, _ = assign_splits(
        images, pl.concat([empty(SPLIT_HINTS), hint]), SplitConfig(val=0, test=0), seed=0,
        bound=bound,
    )  # fmt: skip
    assert dict(split.select("patient_id", "split").iter_rows()) == {
        "p": "test", "q": "test", "r": "test", "s": "train",
    }  # fmt: skip


def test_a_copy_saved_anew_has_nearly_the_same_hash(tmp_path, phantom_releases):
    pytest.importorskip("imagehash")
    root = phantom_releases["mimic-cxr-jpg"]
    originals = sorted(root.rglob("*.jpg"))[:4]
    for k, path in enumerate(originals):
        with Image.open(path) as image:
            image.convert("L").save(tmp_path / f"{k}.png")
    with Image.open(originals[0]) as image:
        image.convert("L").resize((300, 300)).save(tmp_path / "4.png")
    images = table("a", "b", "c", "d", "e")
    hashes = hash_images(images, {"x": tmp_path}, workers=1)
    pairs = near_pairs(hashes).tolist()
    assert [0, 4] in pairs and [0, 1] not in pairs


def test_duplicates_are_looked_for_when_asked(phantom_releases):
    pytest.importorskip("imagehash")
    config = CurationConfig(duplicates=DuplicatesConfig(effect="drop", distance=0))
    releases = {"mimic-cxr-jpg": phantom_releases["mimic-cxr-jpg"]}
    catalog = build_catalog(releases, config, verify=False)
    found = catalog.rejects.filter(pl.col("code") == "near-duplicate").height
    assert catalog.images.height + found == 120
