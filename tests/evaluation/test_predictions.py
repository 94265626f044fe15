"""Predictions that imaxray wrote are held against their manifest; those of others have none."""

import json

import polars as pl
import pytest

from imaxray._common.files import sha256
from imaxray.errors import ImaxrayError
from imaxray.evaluation import read_predictions


def test_answers_that_were_replaced_are_not_scored(tmp_path):
    path = tmp_path / "predictions.parquet"
    answers = pl.DataFrame({"entry_id": ["a", "b"], "text": ["yes", "no"]})
    answers.write_parquet(path)
    files = {path.name: sha256(path)}
    (tmp_path / "predictions.json").write_text(json.dumps({"identity": {}, "files": files}))
    assert read_predictions(path).table.equals(answers)
    answers.with_columns(pl.lit("gold").alias("text")).write_parquet(path)
    for given in (path, tmp_path):
        with pytest.raises(ImaxrayError, match=r"predictions\.json beside it .* was changed"):
            read_predictions(given)
    (tmp_path / "predictions.json").unlink()
    assert read_predictions(path).table["text"].to_list() == ["gold", "gold"]
