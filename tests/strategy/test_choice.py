"""Tests the choice of a stage by validation; without a gain it is the first stage."""

import numpy as np
import polars as pl
import pytest

from imaxray.boxes import PERCENT
from imaxray.curation import write_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import score
from imaxray.strategy import choose, run_strategy


@pytest.fixture(scope="module")
def scored(dmax):
    """Scores on the validation split of a model that is right in a share of the answers."""
    val, images = dmax.tables.split("val"), dmax.tables.images
    sizes = {i: (w, h) for i, w, h in images.select("image_id", "width", "height").iter_rows()}
    rows = val.select("entry_id", "target", "boxes", "image_id").rows()

    def make(share):
        right = np.random.default_rng(0).random(len(rows)) < share
        texts = [
            PERCENT.fill(target, boxes if "<box>" in target else [], *sizes[image])
            if good
            else "no"
            for (_, target, boxes, image), good in zip(rows, right, strict=True)
        ]
        answers = pl.DataFrame({"entry_id": [row[0] for row in rows], "text": texts})
        return score(val, answers, images, PERCENT)

    return make


def test_the_best_stage_is_chosen(dmax, scored):
    found = choose({"1-a": scored(0.5), "2-b": scored(0.9), "3-c": scored(0.7)}, dmax.tables)
    assert found.name == "2-b" and found.gains["1-a"] == 0 < found.gains["3-c"]
    assert found.gains["3-c"] < found.gains["2-b"]
    assert found.sentence().startswith("2-b is chosen") and "1-a +0.0 %" in found.sentence()


def test_the_first_stays_where_none_is_better_and_of_equals_the_earlier(dmax, scored):
    assert choose({"1-a": scored(0.8), "2-b": scored(0.6)}, dmax.tables).name == "1-a"
    assert choose({"1-a": scored(0.8), "2-b": scored(0.8)}, dmax.tables).name == "1-a"
    assert choose({"1-a": scored(0.8)}, dmax.tables).gains == {"1-a": 0.0}


def test_no_validation_split_is_told_before_any_work(dmax, make_strategy, tmp_path):
    tables = dmax.tables
    write_dataset(
        type(tables)(
            tables.images, tables.annotations, tables.entries.filter(pl.col("split") == "train")
        ),
        tmp_path / "data", config={}, seed=0,
    )  # fmt: skip
    config = make_strategy(data=tmp_path / "data", choose="validation")
    with pytest.raises(ImaxrayError, match=r"val split .* set choose to last"):
        run_strategy(config, tmp_path / "out", progress=False)
