"""Tests entries from handmade annotations: joins, uniqueness and cited annotations."""

import polars as pl
import pytest

from imaxray.schema import ANNOTATIONS, IMAGES, conform
from imaxray.tasks import all_tasks, from_json, get_task, make_entries
from imaxray.tasks.rec import Rec

BOX, OTHER = [0.0, 0.0, 4.0, 4.0], [5.0, 5.0, 9.0, 9.0]


def facts(*rows):
    common = {"image_id": "c/1", "origin": "human", "source": "s", "file": "f"}
    numbered = (common | {"row": number} | row for number, row in enumerate(rows, 1))
    return conform(pl.DataFrame(list(numbered), infer_schema_length=None), ANNOTATIONS)


def images(split="train", count=1):
    numbers = range(1, count + 1)
    rows = [{"image_id": f"c/{n}", "patient_id": f"p/{n}", "split": split} for n in numbers]
    return conform(pl.DataFrame(rows), IMAGES)


def region(text, *boxes, **more):
    return {"kind": "region", "name": "Edema", "text": text, "boxes": list(boxes)} | more


def test_a_human_measurement_stands_before_a_silver_one_and_both_are_cited():
    ratio = {"kind": "measurement", "name": "ctr"}
    (draft,) = get_task("calculation").drafts(facts(
        ratio | {"value": 0.6, "origin": "silver", "source": "a", "quality": "regex"},
        ratio | {"value": 0.5, "source": "b", "quality": "expert"},
    )).to_dicts()  # fmt: skip
    assert from_json(draft["answer"]) == 0.5
    assert draft["sources"] == ["a", "b"]
    assert draft["quality"] == "human/expert+silver/regex"


def test_rec_takes_no_region_without_a_box():
    assert get_task("rec").drafts(facts(region("edema"), region("mass", BOX))).height == 1


def test_reg_accepts_every_phrase_of_the_very_box():
    (draft,) = get_task("reg").drafts(facts(
        region("Right lung", BOX, name="right lung"),  # the anatomy's own name: last
        region("opacity at the base", BOX),
        region("edema on both sides", BOX, OTHER),  # two boxes: no question about one
    )).to_dicts()  # fmt: skip
    assert draft["target"] == "opacity at the base"
    assert from_json(draft["answer"]) == ["opacity at the base", "right lung"]
    assert draft["boxes"] == [BOX]


def test_reg_has_the_box_in_the_prompt_and_rec_in_the_target():
    entries = make_entries(facts(region("edema {} here", BOX)), images())
    by_task = {entry["task"]: entry for entry in entries.to_dicts()}
    assert set(by_task) == {"rec", "reg"}
    assert by_task["reg"]["prompt"].count("<box>") == 1
    assert "<box>" not in by_task["reg"]["target"]
    assert "edema {} here" in by_task["rec"]["prompt"]  # braces of a phrase are text
    assert by_task["rec"]["target"] == "<box>"


def test_a_question_asked_twice_is_one_entry():
    question = {"kind": "qa", "text": "Is there edema?", "answers": ["yes"], "value": 1.0}
    entries = make_entries(facts(question, question, question | {"text": "Side?"}), images())
    assert entries.height == 2
    assert entries["entry_id"].is_unique().all()


def test_a_fact_about_an_image_that_is_not_there_makes_no_entry():
    assert make_entries(facts(region("mass", BOX, image_id="c/9")), images()).is_empty()


def test_no_annotation_makes_no_entry():
    assert make_entries(conform(pl.DataFrame(), ANNOTATIONS), images()).is_empty()


def test_ids_and_templates_follow_from_the_content_alone():
    """The rule is part of the dataset's identity: a change of it must be seen."""
    fact = {"kind": "grade", "name": "edema", "value": 1.0}
    for split in ("train", "val", "test"):
        (entry,) = make_entries(facts(fact), images(split)).to_dicts()
        assert entry["entry_id"] == "grading-74fe4a5cfbbfe9c5"
        number = 0x74FE4A5C % 3 if split == "train" else 0
        assert entry["template"] == f"grading.edema.{number}"
        assert entry["prompt"] == get_task("grading").templates["edema"][number]


def test_ids_mix_findings_and_anatomy():
    """Caps take the first ids: neither kind of phrase may crowd out the other."""
    names = [("right lung", "right lung"), ("Edema", "patchy edema")]
    rows = [region(text, [0.0, 0.0, 1.0 + i, 9.0], name=name, image_id=f"c/{i}")
            for i in range(1, 201) for name, text in names]  # fmt: skip
    entries = make_entries(facts(*rows), images(count=200)).filter(pl.col("task") == "rec")
    first = entries.head(200)["prompt"].str.contains("edema").sum()
    assert 60 < first < 140


@pytest.mark.parametrize("task", all_tasks(), ids=lambda task: task.name)
def test_templates_hold_what_their_task_fills_in(task):
    for prompts in task.templates.values():
        assert 2 <= len(prompts) <= 4
        assert len(set(prompts)) == len(prompts)
        for prompt in prompts:
            assert prompt.count("{}") == (task.name in ("rec", "vqa"))
            assert prompt.count("<box>") == (task.name == "reg")


def test_a_constant_among_answers_that_never_repeat_is_not_the_first_by_name():
    """Boxes hardly ever repeat: the typical one must be found, not those that sort first."""
    edge = [[[0.0, float(n), 1.0, n + 1.0]] for n in range(30)]
    middle = [[[50.0 + n / 100, 0.0, 90.0, 90.0]] for n in range(90)]

    class Unaided(Rec):
        def candidates(self, golds):
            return ()  # no median box: the draw alone must find it

    task = Unaided()
    assert task.primary(middle, [task.constant(edge + middle)] * 90) > 0.95


def test_a_constant_of_one_gold_is_that_gold():
    golds = {"calculation": 0.4, "grading": 2, "findings": {"Edema": 1, "Mass": 0},
             "report": {"findings": "the lungs are clear"}, "rec": [BOX], "reg": ["left lung"],
             "vqa": {"closed": True, "answers": ["yes"]}}  # fmt: skip
    for task in all_tasks():
        gold = golds[task.name]
        best = task.primary([gold], [task.given(gold)])
        assert task.primary([gold], [task.constant([gold])]) == pytest.approx(best)


def test_no_finding_is_not_the_target_where_it_is_denied():
    label = {"kind": "label"}
    none = {"name": "No Finding", "value": 0.0}
    draft = get_task("findings").drafts
    # a finding that has no label of ours was found: nothing true can be said
    assert draft(facts(label | none, label | {"name": "Edema", "value": 0.0})).is_empty()
    assert draft(facts(label | none)).is_empty()
    (kept,) = draft(facts(label | none, label | {"name": "Edema", "value": 1.0})).to_dicts()
    assert kept["target"] == "Edema"
