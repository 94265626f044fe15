"""Tests when an answer is correct."""

import pytest

from imaxray.pseudo import Tolerances, correct
from imaxray.pseudo.selecting.correct import alike
from imaxray.tasks import all_tasks, from_json, get_task, to_json

CASES = [
    ("calculation", 0.55, 0.5, True),
    ("calculation", 0.5501, 0.5, False),
    ("grading", 2, 2, True),
    ("grading", 1, 2, False),
    ("findings", {"Edema": 1}, {"Edema": 1, "Cardiomegaly": 0, "No Finding": 0}, True),
    ("findings", {"Edema": 1}, {"Edema": 1, "Cardiomegaly": 1}, False),
    ("findings", {"Edema": 1, "Fracture": 1}, {"Edema": 1}, True),  # fracture: not known
    ("findings", {"Edema": 1}, {"Edema": -1}, None),  # uncertain: nothing to judge by
    ("findings", {"No Finding": 1}, {"Edema": 1}, False),
    ("findings", {"No Finding": 1}, {"Edema": 0, "No Finding": 1}, True),
    (
        "report", {"findings": "The heart is enlarged. No effusion."},
        {"impression": "Cardiomegaly."}, True,
    ),
    (
        "report", {"findings": "There is a pneumothorax."},
        {"findings": "No pneumothorax."}, False,
    ),
    ("rec", [[0.0, 0.0, 10.0, 10.0]], [[0.0, 0.0, 10.0, 5.0]], True),  # IoU is one half
    ("rec", [[0.0, 0.0, 10.0, 10.0]], [[0.0, 0.0, 10.0, 4.9]], False),
    ("rec", [[0.0, 0.0, 9.0, 9.0]], [[0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 30.0, 9.0]], True),
    ("reg", "small left pleural effusion", ["left pleural effusion"], True),
    ("reg", "right pleural effusion", ["left pleural effusion"], False),  # token F1 is 2/3
    ("reg", "left pleural thickening", ["left pleural effusion"], False),  # likewise
    ("reg", "pleural effusion", ["left pleural effusion"], False),  # which one?
    ("reg", "The trachea.", ["carina", "trachea"], True),
    ("vqa", "yes", {"answers": ["yes"], "closed": True}, True),
    ("vqa", "no", {"answers": ["yes"], "closed": True}, False),
    ("vqa", "left lung", {"answers": ["right lung"], "closed": False}, False),
    ("vqa", "the right lung", {"answers": ["right lung"], "closed": False}, True),
    ("vqa", "none", {"answers": [], "closed": False}, True),
]  # fmt: skip


FORMS = {task.name: f"{task.name}.{next(iter(task.templates))}.0" for task in all_tasks()}


@pytest.mark.parametrize(("task", "answer", "gold", "right"), CASES)
def test_worked_cases(task, answer, gold, right):
    given = answer if task == "findings" else get_task(task).as_gold(answer, FORMS[task]).answer
    assert correct(task, to_json(given), to_json(gold), FORMS[task]) is right


def test_gold_answers_are_right_and_unread_ones_wrong(catalog):
    for entry in catalog.entries.iter_rows(named=True):
        task, gold, form = entry["task"], entry["answer"], entry["template"]
        module = get_task(task)
        perfect = module.as_gold(module.given(from_json(gold)), form)
        assert correct(task, to_json(perfect.answer), gold, form) is True
        assert correct(task, None, gold, form) is False


def test_tolerances_are_the_users():
    loose = Tolerances(grade=1, ratio=0.1)
    assert correct("grading", "1", "2", "", loose) is True
    assert correct("calculation", "0.59", "0.5", "", loose) is True


def test_both_sides_is_left_and_right():
    assert alike("bilateral effusions", "left and right effusions") > 0
    assert alike("right effusion", "left effusion") == 0
    assert alike("effusion", "left effusion") == pytest.approx(2 / 3)  # it says less, not else
