"""Tests the prompts for images: templates of real entries, phrases, boxes and questions."""

from collections import Counter
from dataclasses import replace

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.pseudo.annotating.phrases import Phrases, labels_of, said_by_labels, said_in_report
from imaxray.pseudo.annotating.prompts import Given, LeftOut, PromptBook
from imaxray.pseudo.annotating.similar_questions import (
    SimilarQuestions,
    profile,
    seen_in_answers,
    taken_for_granted,
)
from imaxray.schema import TASKS
from imaxray.tasks import AnswerContent, from_json

COUNTS = {
    "small left pleural effusion": 3, "large right pleural effusion": 9,
    "pleural effusion in the right costophrenic angle": 5, "left upper lung nodule": 2,
    "right upper lung nodule": 4, "nodule in the left mid lung": 1, "enlarged heart": 5,
    "enlarged cardiac silhouette": 8, "spine": 90,
}  # fmt: skip


def book(tables, **changed):
    options = {"tasks": TASKS, "vqa_per_image": 2, "rec_per_image": 3, "reg_per_image": 3}
    return PromptBook(tables, **{**options, **changed})


@pytest.fixture(scope="module")
def tables(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


def lacking(tables, *tasks):
    """The dataset with the train entries of some tasks gone, REG and REC of anatomy kept."""
    gone = (pl.col("split") == "train") & pl.col("task").is_in(tasks)
    return replace(tables, entries=tables.entries.filter(~gone))


def test_phrases_claim_no_more_than_was_said():
    phrases = Phrases(COUNTS)
    report = (
        "FINDINGS: There is a left upper lung nodule. A moderate right pleural effusion is present."
        " No pneumothorax. There may be edema. The heart is enlarged."
    )
    assert phrases.for_all(said_in_report(report)) == [
        "left upper lung nodule", "large right pleural effusion", "enlarged heart",
    ]  # fmt: skip
    # a label alone says no side: no sided phrase is taken
    said = said_by_labels(["Cardiomegaly", "No Finding", "Pleural Effusion"])
    assert phrases.for_all(said) == ["enlarged heart", "pleural effusion"]


def test_a_label_that_nobody_locates_is_not_asked_for():
    assert Phrases(COUNTS).for_all(said_by_labels(["Edema"])) == []
    assert Phrases({}).for_all(said_by_labels(["Edema"])) == ["edema"]


def test_a_label_that_came_with_a_sentence_comes_no_second_time():
    things = [
        *said_in_report("Small left pleural effusion."),
        *said_by_labels(["Pleural Effusion"]),
    ]
    assert Phrases(COUNTS).for_all(things) == ["small left pleural effusion"]


def test_questions_of_similar_images_come_first():
    edema, heart = profile("AP", "M", 71, ["Edema"]), profile("PA", "F", 30, ["Cardiomegaly"])
    plain = profile("PA", None, None, [])
    questions = SimilarQuestions(
        [("Is there edema?", True, edema), ("Is the heart enlarged?", True, heart),
         ("Is this PA?", True, plain), ("Is this PA?", True, plain), ("Where is it?", False, heart)]
    )  # fmt: skip
    found = questions.pick("i", profile("AP", "F", 70, ["Edema"]), 1)
    assert found == [("Is there edema?", True, True)]
    # view, sex and age agree wherever they are stated
    found = questions.pick("i", profile("PA", "F", 35, []), 3)
    assert {text for text, _, similar in found if similar} == {
        "Is the heart enlarged?", "Where is it?", "Is this PA?",
    }  # fmt: skip
    # nothing in common: what is asked most fills up, and says so
    found = questions.pick("i", profile("LL", "M", 5, []), 1)
    assert found == [("Is this PA?", True, False)]
    assert SimilarQuestions([]).pick("i", edema, 3) == []


def test_what_a_question_takes_for_granted_the_image_must_have():
    assert taken_for_granted("Where is the pleural effusion?", False) == {"Pleural Effusion"}
    assert not taken_for_granted("Is there pleural effusion?", True)
    view = profile("PA", "M", 50, ["Pleural Effusion"])
    questions = SimilarQuestions([("Where is the pleural effusion?", False, view)])
    assert questions.pick("i", view, 1)
    assert not questions.pick("i", profile("PA", "M", 50, ["Edema"]), 1)


def test_findings_are_seen_in_answers():
    yes, no = ({"answers": [a], "closed": True} for a in ("yes", "no"))
    rows = [
        ("Is there pneumothorax?", True, yes), ("Is there edema?", True, no),
        ("What is seen?", False, {"answers": ["consolidation"], "closed": False}),
    ]  # fmt: skip
    assert seen_in_answers(rows) == {"Pneumothorax", "Consolidation"}


def test_other_releases_names_are_known():
    assert "Lung Lesion" in profile(None, None, None, ["Nodule"]).findings


def test_the_tasks_own_prompts(tables):
    none = lacking(tables, *TASKS)
    images, left_out = book(none).images()
    prompts = [p for image in images for p in book(none).first(image)]
    assert Counter(p.task for p in prompts) == {
        "calculation": 2 * len(images), "report": len(images), "grading": len(images),
        "findings": len(images),
    }  # fmt: skip
    assert left_out["lacks-nothing"] == 0 and left_out["not-frontal"] > 0
    assert {p.prompt_from for p in prompts} == {"template"}
    assert len({p.prompt for p in prompts if p.task == "report"}) > 1
    # nothing is known that a VQA or REG prompt could be made of
    given = Given()
    assert all(not book(none).second(image, given) for image in images)
    assert all(not book(none).third(image, given) for image in images)


def test_templates_are_those_that_the_real_entry_would_have(tables):
    real = tables.split("train").filter(pl.col("task").is_in(["calculation", "grading", "vqa"]))
    bare = book(lacking(tables, "calculation", "grading", "findings"))
    images = set(bare.images()[0])
    asked_now = {
        (p.image_id, p.template) for image in images for p in bare.first(image)
    }  # fmt: skip
    for image, template, task in real.select("image_id", "template", "task").iter_rows():
        if image in images and task != "vqa":
            assert (image, template) in asked_now
    vqa = book(lacking(tables, "vqa"), vqa_per_image=50)
    asked_then = {p.task for image in images for p in vqa.second(image, Given())}
    assert "vqa" not in asked_then  # no question left to take over


def test_questions_come_from_other_images_and_repeat(tables):
    has = tables.split("train").filter(pl.col("task") == "vqa")
    some = has["image_id"].unique().sort().to_list()[::2]
    gone = (pl.col("task") == "vqa") & pl.col("image_id").is_in(some)
    made = book(replace(tables, entries=tables.entries.filter(~gone)))
    kept = set(has.filter(~pl.col("image_id").is_in(some))["prompt"].str.replace(
        " Answer briefly.", "", literal=True))  # fmt: skip
    origins = Counter()
    for image in some:
        prompts = [p for p in made.second(image, Given()) if p.task == "vqa"]
        assert len(prompts) == 2 and len({p.prompt for p in prompts}) == 2
        for prompt in prompts:
            assert prompt.prompt.replace(" Answer briefly.", "") in kept
            origins[prompt.prompt_from] += 1
        assert prompts == [p for p in made.second(image, Given()) if p.task == "vqa"]
    assert origins["similar"] > 0 and set(origins) <= {"similar", "template"}


def test_what_was_just_given_decides_phrases_and_boxes(tables):
    bare = lacking(tables, "findings", "report")
    image = book(bare).images()[0][0]
    gone = (pl.col("image_id") == image) & pl.col("task").is_in(["rec", "reg", "vqa"])
    made = book(replace(bare, entries=bare.entries.filter(~gone)))
    given = Given()
    nothing = made.second(image, given)
    assert {p.prompt_from for p in nothing if p.task == "rec"} == {"template"}  # anatomy
    given.take("findings", {"Cardiomegaly": 1})
    given.take("report", {"findings": "There is a small left pleural effusion."})
    rec = [p for p in made.second(image, given) if p.task == "rec"]
    told = [p for p in rec if p.prompt_from == "model"]
    assert [sorted(labels_of(p.prompt)) for p in told] == [["Pleural Effusion"], ["Cardiomegaly"]]
    assert "left" in told[0].prompt and len(rec) == 3
    assert made.third(image, given) == []
    given.take("rec", [[1.0, 2.0, 30.0, 40.0]])
    given.take("rec", [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])  # several: no region of REG
    (reg,) = made.third(image, given)
    assert reg.boxes == ((1.0, 2.0, 30.0, 40.0),) and reg.prompt_from == "model"
    assert reg.prompt.count("<box>") == 1


def test_what_the_images_own_labels_deny_is_not_located(tables):
    labels = tables.split("train").filter(pl.col("task") == "findings")
    denied = next(
        image
        for image, answer in labels.select("image_id", "answer").iter_rows()
        if from_json(answer).get("Pneumothorax") == 0
    )
    gone = (pl.col("image_id") == denied) & (pl.col("task") != "findings")
    made = book(replace(tables, entries=tables.entries.filter(~gone)))
    given = Given(AnswerContent(text="There is a large left pneumothorax."))
    told = [p for p in made.second(denied, given) if p.prompt_from == "model"]
    assert not any("pneumothorax" in p.prompt for p in told)


def test_what_a_report_states_comes_before_what_the_model_states(tables):
    train = tables.split("train")
    reports = train.filter(pl.col("task") == "report")
    made = book(lacking(tables, "rec", "reg", "findings"), rec_per_image=100)
    image = next(i for i in sorted(reports["image_id"]) if made._said(i))
    given = Given(AnswerContent(labels={"Pneumothorax": 1, "Cardiomegaly": 1}))
    origins = [p.prompt_from for p in made.second(image, given) if p.task == "rec"]
    kinds = ("real", "model", "template")
    assert origins == sorted(origins, key=kinds.index) and "real" in origins


def test_the_box_of_an_own_phrase_and_the_phrase_of_an_own_box_are_no_prompts(tables):
    train = tables.split("train")
    image = train.filter(pl.col("task") == "reg")["image_id"].sort()[0]
    own = {
        phrase for row in train.filter(pl.col("image_id") == image, pl.col("task") == "reg")
        ["answer"] for phrase in from_json(row)
    }  # fmt: skip
    left = LeftOut()
    made = book(lacking(tables, "rec"), rec_per_image=100)
    prompts = [p for p in made.second(image, Given(), left) if p.task == "rec"]
    assert not any(p.prompt.endswith(f" {phrase}.") for p in prompts for phrase in own)
    assert left["rec", "box-known"] >= len(own)
    # a box that the model gave is asked for only if it is not the box of an own phrase
    single = train.filter(pl.col("task") == "rec", pl.col("boxes").list.len() == 1)
    box = tuple(single.filter(pl.col("image_id") == image)["boxes"][0][0])
    made = book(lacking(tables, "reg"), reg_per_image=100)
    given = Given(AnswerContent(boxes=(box, (1.0, 2.0, 3.0, 4.0))))
    left = LeftOut()
    (reg,) = made.third(image, given, left)
    assert reg.boxes == ((1.0, 2.0, 3.0, 4.0),) and reg.prompt_from == "model"
    assert left["reg", "phrase-known"] >= 1


def test_ids_tell_prompts_apart(tables):
    bare = lacking(tables, *TASKS)
    made = book(bare)
    prompts = [p for image in made.images()[0] for p in made.first(image)]
    assert len({p.pseudo_id for p in prompts}) == len(prompts)
    assert not {p.pseudo_id for p in prompts} & set(tables.entries["entry_id"])
    assert prompts == [p for image in made.images()[0] for p in book(bare).first(image)]


def test_a_limit_and_tasks_are_kept(tables):
    images, left_out = book(lacking(tables, *TASKS)).images(limit=5)
    assert len(images) == 5 and left_out["over-limit"] > 0
    few = book(lacking(tables, *TASKS), tasks=["grading"])
    assert {p.task for p in few.first(images[0])} == {"grading"}
