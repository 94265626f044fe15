"""Tests the reading of answers: every named rule of every task, and that targets read back."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.schema import ANNOTATIONS, EDEMA_GRADES, FINDINGS, conform
from imaxray.tasks import clean_answer, from_json, get_task


def parse(task, text, subtask="x"):
    return get_task(task).parse(clean_answer(text), [], f"{task}.{subtask}.0")


def drafts(task, *facts):
    common = {"image_id": "c/1", "origin": "human", "source": "s", "file": "f", "row": 1}
    frame = pl.DataFrame([common | fact for fact in facts])
    return get_task(task).drafts(conform(frame, ANNOTATIONS)).to_dicts()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.52", 0.52), (".52", 0.52), ("The CTR is 0.52.", 0.52), ("Answer: 0.52", 0.52),
        ("52%", 0.52), ("52.5 %", 0.525), ("```\n0.52\n```", 0.52),
        ("-0.52", None), ("100%", None), ("0.0", None), ("52", None), ("1", None), ("", None),
        ("12.5 / 25 = 0.5", 0.5), ("0.45 0.55", None),  # two numbers without a hint
    ],
)  # fmt: skip
def test_calculation(text, expected):
    assert parse("calculation", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", 0), ("Vascular Congestion.", 1), ("Answer:none", 0), ("Grade: 2", 2),
        ("grade 3.", 3), ('"Alveolar edema".', 3), ("```text\n1\n```", 1),
        ("4", None), ("-1", None), ("edema", None), ("12", None), ("no", None),
        ("none or vascular congestion", None),
    ],
)  # fmt: skip
def test_grading(text, expected):
    assert parse("grading", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Edema, Mass", ["Edema", "Mass"]),
        ("edema and mass.", ["Edema", "Mass"]),
        ("No Finding", ["No Finding"]),
        ("There are no findings.", ["No Finding"]),
        ("No Finding, Support Devices", ["No Finding", "Support Devices"]),
        ("No pleural effusion.", []),
        ("No edema, mass, or pneumonia.", []),
        ("No edema, mass or pneumonia. Hernia.", ["Hernia"]),
        ("No edema, but pneumonia or mass", ["Mass", "Pneumonia"]),
        ("Cardiomegaly without edema", ["Cardiomegaly"]),
        ("Pneumonia, no edema, Mass", ["Mass", "Pneumonia"]),
        ("Pneumothorax is not seen; hernia", ["Hernia"]),
        ("Free of edema\nFracture", ["Fracture"]),
        ("edema: absent", []),
        ("Massive heart", None),  # a label is a word, not a substring
        ("fluid", None),
        ("", None),
    ],
)
def test_findings(text, expected):
    answer = parse("findings", text)
    assert (answer if answer is None else sorted(answer)) == expected
    assert answer is None or set(answer.values()) <= {1}


@pytest.mark.parametrize(
    ("text", "subtask", "expected"),
    [
        ("Findings: a\nImpression: b", "both", {"findings": "a", "impression": "b"}),
        ("FINDINGS: other findings: no. IMPRESSION: b", "both",
         {"findings": "other findings: no.", "impression": "b"}),
        ("IMPRESSION: b FINDINGS: a", "both", {"findings": "a", "impression": "b"}),
        ("FINDINGS: a FINDINGS: b", "findings", {"findings": "a b"}),
        ("Clear. IMPRESSION: b", "both", {"findings": "Clear.", "impression": "b"}),
        ("Clear.", "impression", {"impression": "Clear."}),
        ("Clear.", "both", {"findings": "Clear."}),
        ("FINDINGS:", "both", None), (" \n", "both", None),
    ],
)  # fmt: skip
def test_report(text, subtask, expected):
    assert parse("report", text, subtask) == expected


@pytest.mark.parametrize("task", ["reg", "vqa"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [("left lung", "left lung"), ('"left lung".', "left lung"), ("'left lung.'", "left lung"),
     ("The answer is left lung.", "left lung"), ("answer:left lung", "left lung"),
     ("```\nleft lung\n```", "left lung"), ("", None), (".", None), ("```\n```", None)],
)  # fmt: skip
def test_free_text(task, text, expected):
    assert parse(task, text) == expected


def test_rec_takes_the_boxes_handed_over():
    boxes = [(0.0, 0.0, 1.0, 1.0), (2.0, 2.0, 3.0, 3.0)]
    assert get_task("rec").parse("<box> <box>", boxes, "rec.phrase.0") == boxes
    assert get_task("rec").parse("[0, 0, 1, 1]", [], "rec.phrase.0") is None


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_every_ratio_has_a_readable_target(ratio):
    (draft,) = drafts("calculation", {"kind": "measurement", "name": "ctr", "value": ratio})
    assert re.fullmatch(r"0\.\d\d", draft["target"])
    assert abs(parse("calculation", draft["target"], "ctr") - ratio) <= 0.01
    assert from_json(draft["answer"]) == ratio


@pytest.mark.parametrize("grade", range(4))
def test_every_grade_reads_back(grade):
    (draft,) = drafts("grading", {"kind": "grade", "name": "edema", "value": float(grade)})
    assert draft["target"] == EDEMA_GRADES[grade]
    assert parse("grading", draft["target"]) == from_json(draft["answer"]) == grade


@given(st.dictionaries(st.sampled_from(FINDINGS), st.sampled_from([1, 0, -1]), min_size=1))
def test_every_label_map_reads_back(labels):
    made = drafts("findings", *(
        {"kind": "label", "name": name, "value": float(value)} for name, value in labels.items()
    ))  # fmt: skip
    unsure = {name for name, value in labels.items() if value == -1}
    stated = dict(labels)
    if unsure - {"No Finding", "Support Devices"} and stated.get("No Finding") == 1:
        del stated["No Finding"]  # an image with an uncertain abnormality is not normal
    denied = any(value == 0 for name, value in labels.items() if name != "No Finding")
    if 1 not in stated.values() and (unsure or not denied or labels.get("No Finding") == 0):
        assert made == []  # something is uncertain, or something was found that has no name here
        return
    assert from_json(made[0]["answer"]) == stated
    assert parse("findings", made[0]["target"]) == get_task("findings").given(labels)


TOKENS = ["the", "heart", "findings:", "is", "normal.", "no", "answer:", "{}", "(", "1"]
WORDS = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12).map(" ".join)


@given(st.dictionaries(st.sampled_from(["findings", "impression"]), WORDS, min_size=1))
def test_every_report_reads_back(sections):
    facts = ({"kind": "report", "name": name, "text": text} for name, text in sections.items())
    (draft,) = drafts("report", *facts)
    assert parse("report", draft["target"], draft["subtask"]) == sections


@given(WORDS, st.booleans(), st.lists(st.sampled_from(["yes", "left lung", "ap"]), unique=True))
def test_every_question_reads_back(question, closed, answers):
    fact = {"kind": "qa", "text": question, "answers": answers, "value": float(closed)}
    (draft,) = drafts("vqa", fact)
    gold = from_json(draft["answer"])
    assert gold == {"closed": closed, "answers": answers}
    assert draft["target"] == (", ".join(answers) or "none")
    answer = parse("vqa", draft["target"], draft["subtask"])
    assert get_task("vqa").primary([gold], [answer]) == 1.0
