"""Tests that parsed answers are stated as in entries, and which answers are equal."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.curation import build_catalog
from imaxray.schema import EDEMA_GRADES, FINDINGS
from imaxray.tasks import from_json, get_task


@pytest.fixture(scope="module")
def entries(phantom_releases):
    return build_catalog(phantom_releases, verify=False).entries


def test_real_answers_are_stated_as_their_entries_are(entries):
    """A perfect answer gives the entry's own target and boxes."""
    for row in entries.iter_rows(named=True):
        task, gold = get_task(row["task"]), from_json(row["answer"])
        stated = task.as_gold(task.given(gold), row["template"])
        own = row["boxes"][row["prompt"].count("<box>") :]
        assert stated.boxes == own
        if row["task"] == "findings":
            certain = {label: 1 for label, value in gold.items() if value == 1}
            assert stated.answer == (certain or {"No Finding": 1})
        elif row["task"] == "reg":
            assert stated.answer == gold[:1]
        else:
            assert task.same(stated.answer, gold)
        assert stated.target == row["target"]


def test_real_prompts_are_made_again(entries):
    train = entries.filter(pl.col("split") == "train", pl.col("task") != "reg")
    for row in train.iter_rows(named=True):
        task, subtask = get_task(row["task"]), row["template"].split(".")[1]
        fill = task.fill_of(row["template"], row["prompt"])
        from imaxray.hashing import digest

        made = task.train_prompt(
            row["image_id"], subtask, subject=0 if fill is None else digest(fill), fill=fill
        )
        assert made == (row["template"], row["prompt"])


@settings(deadline=None, max_examples=60)
@given(st.sets(st.sampled_from(FINDINGS), min_size=1), st.floats(0.011, 0.989), st.integers(0, 3))
def test_a_stated_answer_is_read_as_itself(labels, ratio, grade):
    findings, calculation, grading = map(get_task, ("findings", "calculation", "grading"))
    stated = findings.as_gold(dict.fromkeys(labels, 1), "findings.list.0")
    assert findings.parse(stated.target, [], "findings.list.0") == dict.fromkeys(labels, 1)
    target = calculation.as_gold(ratio, "calculation.ctr.0").target
    assert abs(calculation.parse(target, [], "calculation.ctr.0") - ratio) <= 0.005 + 1e-9
    assert grading.as_gold(grade, "grading.edema.0").target == EDEMA_GRADES[grade]


def test_labels_that_are_all_denied_are_no_statement():
    findings = get_task("findings")
    parsed = findings.parse("no edema", [], "findings.list.0")
    assert parsed == {} and findings.as_gold(parsed, "findings.list.0") is None


@pytest.mark.parametrize(
    ("text", "template", "target", "answers"),
    [
        ("Yes, there is.", "vqa.closed.0", "yes", ["yes"]),
        ("No", "vqa.closed.1", "no", ["no"]),
        ("normal", "vqa.closed.0", "normal", ["normal"]),
        ("None", "vqa.open.0", "none", []),
        ("left, right", "vqa.open.0", "left, right", ["left", "right"]),
        ("yes, left", "vqa.open.0", "yes, left", ["yes", "left"]),
    ],
)  # fmt: skip
def test_vqa_answers(text, template, target, answers):
    task = get_task("vqa")
    stated = task.as_gold(task.parse(text, [], template), template)
    assert stated.target == target
    assert stated.answer == {"answers": answers, "closed": "closed" in template}


@pytest.mark.parametrize(
    ("task", "first", "second", "same"),
    [
        ("calculation", 0.50, 0.52, True),
        ("calculation", 0.50, 0.53, False),
        ("grading", 2, 2, True),
        ("grading", 2, 3, False),
        ("findings", {"Edema": 1}, {"Edema": 1}, True),
        ("findings", {"Edema": 1}, {"Edema": 1, "Mass": 1}, False),
        ("rec", [[0, 0, 10, 10]], [[0, 0, 10, 6]], True),
        ("rec", [[0, 0, 10, 10]], [[0, 0, 10, 4]], False),
        ("rec", [[0, 0, 10, 10]], [[0, 0, 10, 10], [20, 20, 30, 30]], False),
        ("rec", [[20, 20, 30, 30], [0, 0, 10, 10]], [[0, 0, 10, 9], [20, 20, 30, 29]], True),
        # the pair of most overlap would leave the others without enough
        ("rec", [[0, 0, 10, 10], [0, 3, 10, 13]], [[0, 2, 10, 12], [0, 5, 10, 15]], True),
        ("reg", ["left lung"], ["left lung"], True),
        ("reg", ["left lung"], ["right lung"], False),
        ("vqa", {"answers": ["a", "b"]}, {"answers": ["b", "a"]}, True),
        ("vqa", {"answers": ["yes"]}, {"answers": ["no"]}, False),
        ("report", {"findings": "There is edema."}, {"impression": "Pulmonary edema."}, True),
        ("report", {"findings": "There is edema."}, {"findings": "There is no edema."}, False),
    ],
)  # fmt: skip
def test_the_same_answer(task, first, second, same):
    assert get_task(task).same(first, second) is same
    assert get_task(task).same(second, first) is same
