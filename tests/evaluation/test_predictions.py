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


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"entry_id": "a", "text": "yes"}\n')
    assert read_predictions(path).table.rows() == [("a", "yes")]


def test_a_column_that_stands_there_twice_is_refused(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("entry_id,text,text\na,yes,no\n")
    with pytest.raises(ImaxrayError, match=r"one column text in .*, but there are 2"):
        read_predictions(path)


def test_a_field_that_stands_there_twice_is_refused(tmp_path):
    path = tmp_path / "answers.jsonl"
    first = (
        '{"entry_id": "a", "text": "a field \\"text\\", and \\"text\\"", "more": {"text": "x"}}\n'
    )
    path.write_text(first)
    assert read_predictions(path).table["entry_id"].to_list() == ["a"]
    for twice in ('"text": "yes", "text": "no"', '"text": "yes", "te\\u0078t": "no"'):
        path.write_text(first + '{"entry_id": "b", ' + twice + "}\n")
        with pytest.raises(ImaxrayError, match=r"line 2 is wrong: a key of the item stands there"):
            read_predictions(path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_answers_without_a_header_are_not_shown(ending, tmp_path):
    path = tmp_path / f"answers.{ending}"
    first = {"img-1": ["img-2"], "The heart of Ms Miller is enlarged.": ["No."]}
    table = pl.DataFrame(first)
    table.write_csv(path) if ending == "csv" else table.write_parquet(path)
    with pytest.raises(ImaxrayError, match="do not look like names of columns") as caught:
        read_predictions(path)
    assert "Miller" not in str(caught.value)
