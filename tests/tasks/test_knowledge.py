"""Tests the defaults of the methods that other stages call on a task."""

from typing import ClassVar

import polars as pl
import pytest

from imaxray.metrics import invalid_rate
from imaxray.tasks import AnswerContent, Gold, Question, Task, Truth, all_tasks


class Plain(Task):
    """Name a thing, in free text."""

    name = "plain"
    templates: ClassVar = {"thing": ("Name the {}.", "What is the {}?"), "box": ("Name <box>.",)}
    metrics = (invalid_rate(),)

    def drafts(self, annotations):
        raise NotImplementedError

    def parse(self, text, boxes, template):
        return text.strip() or None

    def as_gold(self, parsed, template):
        return Gold(parsed, [], parsed)


PLAIN = Plain()


def question(template="plain.thing.0", prompt="Name the device.", boxes=()):
    return Question(template, prompt, list(boxes))


def test_short_targets_are_strata_and_long_ones_go_by_length():
    targets = ["Left lung", "one two three", "a b c d", " ".join(["w"] * 47), "w " * 900]
    found = pl.DataFrame({"target": targets}).select(PLAIN.stratum()).to_series().to_list()
    assert found == ["left lung", "one two three", "0 words", "40 words", "200 words"]


def test_the_same_question_is_the_same_text_boxes_and_subtask():
    one = question()
    assert PLAIN.same_question(one, question("plain.thing.1", "What is the Device?")) == 1
    assert PLAIN.same_question(one, question(prompt="Name the heart.")) == 0
    boxed = [question("plain.box.0", "Name <box>.", [[0.0, 0.0, x, 9.0]]) for x in (5.0, 6.0)]
    assert PLAIN.same_question(boxed[0], boxed[0]) == 1
    assert PLAIN.same_question(*boxed) == 0


def test_a_row_asks_what_its_prompt_holds():
    row = {
        "template": "plain.box.0",
        "prompt": "Name <box>.",
        "boxes": [[1, 2, 3, 4], [5, 6, 7, 8]],
    }
    assert Question.of(row).boxes == [[1, 2, 3, 4]]
    assert Question.of({**row, "prompt": "Name it.", "boxes": None}).boxes == []


def test_what_a_task_does_not_know_it_does_not_claim():
    truth = Truth({"ctr": 0.5, "cpar": None}, 2, frozenset({"Edema"}), [])
    assert PLAIN.secrets("p", "target", None) == ["target"] and PLAIN.secret_boxes("x") == []
    assert PLAIN.subtask_for("anything") == "thing"
    assert PLAIN.read_target(" word ", "plain.thing.0") == "word"
    assert PLAIN.true_answer(question(), truth) is None
    assert PLAIN.in_shares("x", (2, 2)) == PLAIN.in_pixels("x", (2, 2)) == "x"
    assert PLAIN.details({}) == {} and PLAIN.content("x") == AnswerContent()
    assert PLAIN.decides("x") and PLAIN.is_correct("x", "x") and not PLAIN.is_correct("x", "y")
    assert list(PLAIN.statements(question(), "x", size=(9, 9), usual=())) == []
    assert PLAIN.usual_labels(["x"]) == frozenset() and PLAIN.without("x", ["Edema"]) is None
    assert PLAIN.facts(question(), "x") == []
    assert PLAIN.asked_subtasks({"thing": 2, "box": 5}) == ["box"]


def test_which_tasks_ask_about_the_image_alone():
    alone = [task.name for task in all_tasks() if task.asks_image_alone]
    assert alone == ["calculation", "report", "grading", "findings"]
    assert not PLAIN.asks_image_alone


def test_of_two_answers_the_later_labels_and_report_count():
    first = AnswerContent({"Edema": 1}, "old", ("heart",), ((0.0, 0.0, 1.0, 1.0),))
    assert first.then(AnswerContent(text="new", phrases=("lung",))) == AnswerContent(
        {"Edema": 1}, "new", ("heart", "lung"), ((0.0, 0.0, 1.0, 1.0),)
    )


@pytest.mark.parametrize("task", all_tasks(), ids=lambda task: task.name)
def test_every_task_states_what_its_documentation_says(task):
    assert task.templates and task.metrics
    assert task.subtask_for("Measure the CTR.") in task.templates
    counts = dict.fromkeys(task.templates, 1)
    assert set(task.asked_subtasks(counts)) <= set(task.templates)
