"""Tests that thresholds of visual advantage keep what confidence cannot tell apart."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from imaxray.pseudo import FilterConfig, calibrate, filter_candidates
from imaxray.pseudo.selecting.advantage import scored_by_advantage


def test_an_advantage_finds_right_answers_of_which_the_model_is_no_surer(
    dmax, lacking, fabricate, catalog
):
    random = np.random.default_rng(0)

    def answers(entries, seed):
        right = random.random(entries.height) < 0.5
        logs = -random.random(entries.height)  # confidence says nothing
        advantage = np.where(right, 2.0, -0.5) + random.normal(0, 0.5, entries.height)
        made = fabricate(entries, right, seed=seed, logprobs=logs)
        of = pl.DataFrame({"pseudo_id": entries["entry_id"], "visual_advantage": advantage})
        return made.drop("visual_advantage").join(of, on="pseudo_id", maintain_order="left")

    # a phantom's val split is small: train entries of other images stand in for it
    val = dmax.tables.split("train").with_columns(pl.lit("val").alias("split"))
    calibration, candidates = answers(val, 1), answers(lacking, 2)
    by_confidence = calibrate(calibration, val, 0.9, risk=0.1)
    assert by_confidence.tasks["rec"].threshold is None
    thresholds = calibrate(scored_by_advantage(calibration), val, 0.9, risk=0.1)
    assert thresholds.tasks["rec"].threshold is not None
    done = filter_candidates(
        scored_by_advantage(candidates), dmax, thresholds=thresholds, truth=catalog.entries
    )
    row = done.yields.filter(pl.col("task") == "all", pl.col("filter") == "confidence")
    found = row.row(0, named=True)
    assert found["precision"] > 0.9 and found["kept"] > 0.3 * candidates.height


def test_fusion_and_advantage_exclude_each_other():
    with pytest.raises(ValidationError, match="fuse computes a score of its own"):
        FilterConfig(fuse=True, score="visual-advantage")


def test_the_identity_of_a_filter_by_confidence_stays_what_it_was():
    assert "score" not in FilterConfig().decides()
    assert FilterConfig(score="visual-advantage").decides()["score"] == "visual-advantage"
