"""Tests tasks: entries from annotations, perfect scores of perfect answers, strict reading."""

from collections import Counter

import polars as pl
import pytest

from imaxray.boxes import PERCENT
from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.schema import ENTRIES, TASKS
from imaxray.tasks import all_tasks, from_json, get_task, make_entries, subtask_of, to_json


@pytest.fixture(scope="module")
def catalog(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


def perfect(task, entry, size):
    """What a perfect model would write, read back."""
    asked = entry["prompt"].count("<box>")
    text = PERCENT.fill(entry["target"], entry["boxes"][asked:], *size)
    bare, boxes = PERCENT.extract(text, *size)
    return task.parse(bare, boxes, entry["template"])


@pytest.mark.parametrize("task", all_tasks(), ids=lambda t: t.name)
def test_a_perfect_answer_scores_perfectly(task, catalog):
    sizes = {i: (w, h) for i, w, h in catalog.images.select("image_id", "width", "height").rows()}
    entries = catalog.entries.filter(pl.col("task") == task.name).head(300)
    golds = [from_json(a) for a in entries["answer"]]
    answers = [perfect(task, e, sizes[e["image_id"]]) for e in entries.iter_rows(named=True)]
    assert None not in answers
    for metric in task.metrics:
        value = metric(golds, answers)
        # ratios state two decimals, boxes whole percents
        slack = {
            "MAE": 0.005,
            "median AE": 0.005,
            "bias": 0.005,
            "mean IoU": 0.2,
            "limits of agreement": 0.01,
        }.get(metric.name, 1e-9)
        assert abs(value - metric.best) <= slack, metric.name


@pytest.mark.parametrize("task", all_tasks(), ids=lambda t: t.name)
def test_no_answer_is_worst_and_invalid(task, catalog):
    entries = catalog.entries.filter(pl.col("task") == task.name).head(50)
    golds = [from_json(a) for a in entries["answer"]]
    nothing = [None] * len(golds)
    worst = task.primary.low if task.primary.higher_is_better else task.primary.high
    assert task.primary(golds, nothing) == worst
    assert next(m for m in task.metrics if m.name == "invalid")(golds, nothing) == 1.0


@pytest.mark.parametrize("task", all_tasks(), ids=lambda t: t.name)
def test_the_constant_is_the_best_of_the_frequent_answers(task, catalog):
    entries = catalog.entries.filter(pl.col("task") == task.name)
    subtask = subtask_of(entries["template"][0])
    own = entries.filter(pl.col("template").str.contains(f".{subtask}.", literal=True)).head(60)
    golds = [from_json(a) for a in own["answer"]]
    sign = 1 if task.primary.higher_is_better else -1

    def worth(answer):
        return sign * task.primary(golds, [answer] * len(golds))

    constant = worth(task.constant(golds))
    counted = Counter(to_json(task.given(gold)) for gold in golds)
    frequent = [answer for answer, count in counted.most_common(5) if count > 1]
    assert all(constant >= worth(from_json(answer)) - 1e-9 for answer in frequent)
    assert all(constant >= worth(option) - 1e-9 for option in task.candidates(golds))


def test_entries_have_the_schema_and_stable_ids(catalog):
    again = make_entries(catalog.annotations.reverse(), catalog.images)
    assert again.schema == ENTRIES
    assert again.sort("entry_id").equals(catalog.entries.select(ENTRIES.names()).sort("entry_id"))
    assert [t.name for t in all_tasks()] == list(TASKS)


def test_train_draws_templates_and_evaluation_does_not(catalog):
    train = catalog.split("train").filter(pl.col("task") == "grading")
    assert train["template"].n_unique() == 3
    test = catalog.split("test").filter(pl.col("task") == "grading")
    assert test["template"].unique().to_list() == ["grading.edema.0"]


def test_placeholders_and_boxes_are_as_many(catalog):
    both = catalog.entries.select(
        (pl.col("prompt") + pl.col("target")).str.count_matches("<box>", literal=True),
        pl.col("boxes").list.len().alias("boxes"),
    )
    assert (both["prompt"] == both["boxes"]).all()


def test_a_phrase_with_two_boxes_is_one_question():
    box = [[0.0, 0.0, 1.0, 1.0]]
    common = {"image_id": "i", "kind": "region", "name": "Edema", "origin": "human",
              "quality": "q", "source": "s", "file": "f"}  # fmt: skip
    facts = pl.DataFrame([
        common | {"row": 1, "text": "Edema here", "boxes": box},
        common | {"row": 2, "text": "edema here", "boxes": [[5.0, 5.0, 9.0, 9.0]]},
        common | {"row": 3, "text": "edema here", "boxes": box, "source": "z", "origin": "silver"},
    ])  # fmt: skip
    drafts = get_task("rec").drafts(facts)
    assert drafts.height == 1
    assert drafts["target"][0] == "<box> <box>"
    assert from_json(drafts["answer"][0]) == [[0, 0, 1, 1], [5, 5, 9, 9]]


def test_unknown_labels_are_not_negative():
    facts = pl.DataFrame({
        "image_id": ["i"] * 3, "kind": ["label"] * 3, "name": ["Edema", "Pneumonia", "Fracture"],
        "value": [1.0, -1.0, 0.0], "origin": ["silver"] * 3, "quality": ["q"] * 3,
        "source": ["s"] * 3, "row": [1, 2, 3],
    })  # fmt: skip
    drafts = get_task("findings").drafts(facts)
    assert drafts["target"][0] == "Edema"
    assert from_json(drafts["answer"][0]) == {"Edema": 1, "Pneumonia": -1, "Fracture": 0}


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("calculation", "about 0.47", 0.47), ("calculation", "47 %", 0.47),
        ("calculation", "1.4", None), ("calculation", "no idea", None),
        ("grading", "```\nAlveolar edema\n```", 3), ("grading", "severe", 3),
        ("grading", "edema", None),
        ("findings", "no pneumothorax", {}), ("findings", "hello", None),
        ("findings", "Edema and Pneumonia.", {"Edema": 1, "Pneumonia": 1}),
        ("reg", '"right lung."', "right lung"), ("reg", " ", None),
        ("vqa", "Answer: Yes.", "yes"), ("rec", "<box>", None),
    ],
)  # fmt: skip
def test_answers_are_read_strictly(task, text, expected):
    assert get_task(task).parse(text, [], f"{task}.x.0") == expected


def test_report_sections_are_read_back():
    parse = get_task("report").parse
    both = {"findings": "Clear.", "impression": "Normal."}
    assert parse("FINDINGS: Clear. IMPRESSION: Normal.", [], "report.both.0") == both
    assert parse("Normal.", [], "report.impression.0") == {"impression": "Normal."}
    assert parse("", [], "report.both.0") is None


def test_json_is_canonical():
    assert to_json({"b": 1, "a": [0.5]}) == '{"a":[0.5],"b":1}'
    with pytest.raises(ImaxrayError, match="one of the tasks"):
        get_task("segmentation")
