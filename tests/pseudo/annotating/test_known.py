"""Tests that a question is known exactly where the entries of its image answer it."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given as given_examples
from hypothesis import settings
from hypothesis import strategies as st

from imaxray.boxes import iou
from imaxray.clinical import answered, load_clinical_rules
from imaxray.curation import build_catalog
from imaxray.hashing import digest
from imaxray.pseudo.annotating.known import KnownFacts
from imaxray.pseudo.annotating.passes import go_through
from imaxray.pseudo.annotating.prompts import PromptBook
from imaxray.schema import ENTRIES, TASKS
from imaxray.tasks import Question, from_json, get_task, to_json


def entry(task, answer, *, template=None, prompt="", boxes=(), number=0, sources=("a",)):
    return {
        "entry_id": f"{task}-{number}", "image_id": "i", "patient_id": "p", "task": task,
        "split": "train", "prompt": prompt, "target": "", "boxes": [list(b) for b in boxes],
        "answer": to_json(answer), "template": template or f"{task}.{task}.0",
        "sources": list(sources), "quality": "human/x",
    }  # fmt: skip


def known(*entries, **more):
    return KnownFacts(pl.DataFrame(list(entries), schema=ENTRIES), **more)


def vqa(text, closed=True):
    return "i", "vqa", Question(f"vqa.{'closed' if closed else 'open'}.0", text, [])


LABELS = entry("findings", {"Edema": 0, "Pneumothorax": 1, "Consolidation": -1})


@pytest.mark.parametrize(
    ("fact", "asked", "reason"),
    [
        (LABELS, vqa("Is there edema?"), "implied"),
        (LABELS, vqa("Is there pneumothorax?"), "implied"),
        (LABELS, vqa("Is there consolidation?"), None),  # uncertain
        (LABELS, vqa("Is there atelectasis?"), None),  # not stated
        (LABELS, vqa("Is there edema in the left lung?"), "implied"),  # nowhere is not on the left
        (LABELS, vqa("Is there pneumothorax on the left?"), None),  # it may be on the right
        (LABELS, vqa("Where is the pneumothorax?", closed=False), None),
        (LABELS, vqa("Where is the edema?", closed=False), "implied"),  # nowhere
        (entry("grading", 0), vqa("Is there edema?"), "implied"),
        (entry("grading", 1), vqa("Is there edema?"), None),  # congestion: readers disagree
        (entry("grading", 2), vqa("Is there edema?"), "implied"),
        (entry("calculation", 0.61, template="calculation.ctr.0"),
         vqa("Is the cardiac silhouette wider than half the thorax?"), "implied"),
        (entry("calculation", 0.505, template="calculation.ctr.0"),
         vqa("Is the cardiac silhouette wider than half the thorax?"), None),  # within the margin
        (entry("calculation", 0.61, template="calculation.ctr.0"),
         vqa("Is there cardiomegaly?"), None),  # usually so, not by definition
        (entry("report", {"findings": "There is no edema."}), vqa("Is there edema?"), None),
        (entry("vqa", {"closed": True, "answers": ["no"]}, template="vqa.closed.0",
               prompt="Is there edema?"),
         vqa("Does the image show edema?"), "implied"),
        (entry("vqa", {"closed": True, "answers": ["AP"]}, template="vqa.closed.0",
               prompt="Which view is it?"),
         ("i", "vqa", Question("vqa.closed.1", "Which view is it? Answer briefly.", [])),
         "answered"),
        (entry("reg", ["left lung nodule"], boxes=[(1, 2, 30, 40)], prompt="<box>"),
         ("i", "rec", Question("rec.phrase.0", "Locate: Left lung nodule.", [])), None),
        (entry("rec", [[1.0, 2.0, 30.0, 40.0], [50.0, 2.0, 80.0, 40.0]]),
         ("i", "reg", Question("reg.phrase.0", "", [[51.0, 2.0, 80.0, 40.0]])), "phrase-known"),
        (entry("rec", [[1.0, 2.0, 30.0, 40.0]]),
         ("i", "reg", Question("reg.phrase.0", "", [[28.0, 2.0, 80.0, 40.0]])), None),
        (entry("grading", 2, sources=["derived"], template="grading.edema.0"),
         ("i", "grading", Question("grading.edema.1", "", [])), "answered"),
    ],
)  # fmt: skip
def test_a_fact_answers_a_question(fact, asked, reason):
    assert known(fact).reason(*asked) == reason
    assert known(fact).reason("j", *asked[1:]) is None  # another image


def test_a_reg_phrase_has_a_known_box():
    rec = get_task("rec")
    template, prompt = rec.train_prompt("i", "phrase", fill="Left lung nodule")
    facts = known(entry("reg", ["left lung nodule"], boxes=[(1, 2, 30, 40)], prompt="<box>"))
    assert facts.reason("i", "rec", Question(template, prompt, [])) == "box-known"


def test_a_finding_is_denied_by_label_grade_or_answer():
    assert known(LABELS).denies("i", "Edema") and not known(LABELS).denies("i", "Pneumothorax")
    assert known(entry("grading", 0)).denies("i", "Edema")
    said = entry(
        "vqa", {"closed": True, "answers": ["no"]}, template="vqa.closed.0",
        prompt="Is there pleural effusion?",
    )  # fmt: skip
    assert known(said).denies("i", "Pleural Effusion")


def test_a_rule_that_the_user_ignores_settles_nothing(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("clinical:\n  question-label: {severity: ignore}\n")
    rules = load_clinical_rules(file)
    assert known(LABELS, clinical=rules).reason(*vqa("Is there edema?")) is None


@pytest.fixture(scope="module")
def tables(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


@settings(max_examples=12, deadline=None)
@given_examples(seed=st.integers(0, 2**32), kept=st.floats(0.05, 0.9), derived=st.floats(0, 1))
def test_whatever_entries_an_image_has_none_of_them_is_asked_for(tables, seed, kept, derived):
    """The oracle is written anew here: entries, swaps of REC and REG, and plain labels."""

    def draw(purpose):
        return pl.Series(
            [digest(f"{seed} {purpose} {e}") % 1000 / 1000 for e in tables.entries["entry_id"]]
        )

    train = pl.col("split") == "train"
    marked = tables.entries.with_columns(
        pl.when(train & (draw("derived") < derived))
        .then(pl.lit(["derived"])).otherwise("sources").alias("sources")
    ).filter(~train | (draw("kept") < kept))  # fmt: skip
    some = replace(tables, entries=marked)
    book = PromptBook(some, tasks=TASKS, vqa_per_image=3, rec_per_image=4, reg_per_image=3)
    images, _ = book.images()
    truth = {}
    for row in tables.split("train").iter_rows(named=True):
        truth.setdefault((row["image_id"], row["task"]), []).append(row)
    own = {}
    for row in some.split("train").iter_rows(named=True):
        own.setdefault((row["image_id"], row["task"]), []).append(row)
    asked = []

    def answer(prompts):
        """The model of this test answers with the true entries of other questions."""
        asked.extend(prompts)
        said = {p.pseudo_id: truth.get((p.image_id, p.task)) for p in prompts}
        return {key: from_json(rows[0]["answer"]) for key, rows in said.items() if rows}

    go_through(book, images, answer)
    assert len({p.pseudo_id for p in asked}) == len(asked)
    for prompt in asked:
        task, image = get_task(prompt.task), prompt.image_id
        mine = prompt.question()
        rows = own.get((image, prompt.task), [])
        assert all(row["sources"] == ["derived"] for row in rows)
        assert not any(task.same_question(mine, Question.of(row)) for row in rows)
        text = task.asked_text(mine).lower()
        if prompt.task == "rec":
            reg = own.get((image, "reg"), [])
            assert all(text not in from_json(row["answer"]) for row in reg)
        if prompt.task == "reg":
            rec = own.get((image, "rec"), [])
            found = [box for row in rec for box in row["boxes"]]
            assert all(iou(box, prompt.boxes[0]) < 0.5 for box in found)
        if prompt.task == "vqa" and (about := answered(task.asked_text(mine), "no")):
            labels = [from_json(row["answer"]) for row in own.get((image, "findings"), [])]
            assert all(label.get(about[0]) not in (0, 1) for label in labels)
