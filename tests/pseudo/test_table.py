"""Numbers from a file are checked before they decide anything."""

import polars as pl
import pytest

from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.fusing.claims import confidence_of
from imaxray.pseudo.table import PSEUDO, require_sound


def table(**values):
    rows = pl.DataFrame({"pseudo_id": ["a", "b"], "logprob": [-0.5, 0.0]})
    empty = [pl.lit(None, dtype=t).alias(n) for n, t in PSEUDO.items() if n not in rows.columns]
    return rows.with_columns(*empty).with_columns(pl.Series(n, v) for n, v in values.items())


def test_a_sound_table_passes(tmp_path):
    require_sound(table(), tmp_path)
    require_sound(table(agreement=[0.0, 1.0], logprob=[None, 1e-9]), tmp_path)


@pytest.mark.parametrize("values", [
    {"logprob": [-1.0, float("nan")]}, {"logprob": [0.5, -1.0]}, {"logprob": [float("inf"), 0.0]},
    {"agreement": [0.5, 1.5]}, {"agreement": [-0.5, 0.5]}, {"agreement": [0.5, float("nan")]},
])  # fmt: skip
def test_a_number_that_cannot_be_is_one_sentence(tmp_path, values):
    with pytest.raises(ImaxrayError, match=rf"in the column {next(iter(values))}.*but 1 are not"):
        require_sound(table(**values), tmp_path)


def test_a_missing_column_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="Expected the column answer in"):
        require_sound(table().drop("answer"), tmp_path)


GOOD = {
    "calculation": "0.52", "report": '{"findings":"Clear."}', "grading": "2",
    "reg": '["left lung"]',
    "findings": '{"Edema":0}', "rec": "[[1.0,2.0,3.0,4.0]]",
    "vqa": '{"answers":["no"],"closed":true}',
}  # fmt: skip


@pytest.mark.parametrize("task", GOOD)
@pytest.mark.parametrize("wrong", ["null", "NaN", "1e400", '["Ms Miller"]', "{Ms Miller", "true"])
def test_an_answer_that_cannot_be_one_of_its_task_is_one_sentence(tmp_path, task, wrong):
    require_sound(table(task=[task, task], answer=[GOOD[task], None]), tmp_path)
    if (task, wrong) == ("reg", '["Ms Miller"]'):
        return
    said = f"answer of {task} in the column answer .* but b has"
    with pytest.raises(ImaxrayError, match=said) as caught:
        require_sound(table(task=[task, task], answer=[GOOD[task], wrong]), tmp_path)
    assert "Miller" not in str(caught.value)


@pytest.mark.parametrize(
    "boxes",
    [
        [[1.0, 2.0, 3.0]],
        [[1.0, 2.0, 3.0, float("nan")]],
        [[1.0, 2.0, 3.0, float("inf")]],
        [[1.0, 2.0, None, 4.0]],
        [None],
    ],
)
def test_a_box_that_cannot_be_one_is_one_sentence(tmp_path, boxes):
    good = [[1.0, 2.0, 3.0, 4.0]]
    for sound in (good, [], None):
        values = pl.Series([good, sound], dtype=PSEUDO["boxes"])
        require_sound(table(boxes=values), tmp_path)
    with pytest.raises(ImaxrayError, match=r"four finite numbers in the column boxes .* but b has"):
        require_sound(table(boxes=pl.Series([good, boxes], dtype=PSEUDO["boxes"])), tmp_path)


def test_an_unknown_task_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match=r"one of calculation, .* in the column task"):
        require_sound(table(task=["rec", "detect"], answer=["[]", "[]"]), tmp_path)


def test_answers_of_a_task_of_another_package_are_any_json(tmp_path, monkeypatch):
    monkeypatch.setattr("imaxray.pseudo.answer_shapes.task_names", lambda: (*GOOD, "side"))
    require_sound(table(task=["side", "side"], answer=['"left"', '["both"]']), tmp_path)
    with pytest.raises(ImaxrayError, match="the JSON of an answer of side"):
        require_sound(table(task=["side", "side"], answer=['"left"', "left"]), tmp_path)


def test_a_row_without_an_id_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="an id in the column pseudo_id"):
        require_sound(table(pseudo_id=["a", None]), tmp_path)


def test_an_answer_without_a_log_probability_is_the_least_probable_one():
    assert confidence_of({"logprob": None}, None) == confidence_of({"logprob": -1e9}, None)
