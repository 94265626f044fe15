"""Tests what each built-in rule compares and what it ignores."""

import polars as pl
import pytest

from imaxray.pseudo import check_consistency, load_rules
from imaxray.pseudo.dataset import pseudo_entries
from imaxray.pseudo.selecting.statements import usual_labels
from imaxray.schema import ENTRIES, IMAGES, conform, empty
from imaxray.tasks._shared.statements import place

IMAGE = conform(
    pl.DataFrame(
        {"image_id": ["i"], "patient_id": ["p"], "split": ["train"], "width": [100],
         "height": [100], "view": ["PA"]}
    ), IMAGES,
)  # fmt: skip
ASK = "Is there {}?"
LEFT, RIGHT = (60.0, 40.0, 90.0, 60.0), (10.0, 40.0, 40.0, 60.0)


def verdict(rows, rule, entries=None, images=IMAGE):
    """pseudo_id -> verdicts of one built-in rule that are about a partner."""
    rules = [r for r in load_rules() if r.name == rule]
    found = check_consistency(rows, empty(ENTRIES) if entries is None else entries, images, rules)
    said = found.filter(pl.col("other").is_not_null() | (pl.col("rule") == "place"))
    return dict(said.select("pseudo_id", "verdict").iter_rows())


def question(candidate, text, answer, **more):
    return candidate("vqa", answer, prompt=text, template="vqa.closed.0", **more)


def rec(candidate, phrase, *boxes, **more):
    return candidate("rec", [list(b) for b in boxes], prompt=f"Locate the {phrase}.",
                     boxes=boxes, **more)  # fmt: skip


def reg(candidate, box, phrase, **more):
    return candidate("reg", phrase, boxes=[box], **more)


@pytest.mark.parametrize(
    ("ratio", "labels", "says"),
    [
        (0.40, {"Cardiomegaly": 1}, "contradict"),
        (0.44, {"Cardiomegaly": 1}, "contradict"),
        (0.47, {"Cardiomegaly": 1}, "silent"),
        (0.52, {"Cardiomegaly": 1}, "agree"),
        (0.60, {"Cardiomegaly": 0}, "contradict"),
        (0.45, {"Cardiomegaly": 0}, "agree"),
    ],
)
def test_ctr_against_cardiomegaly(candidate, table, ratio, labels, says):
    rows = table(candidate("calculation", ratio), candidate("findings", labels))
    assert verdict(rows, "ctr-cardiomegaly")["calculation-0"] == says


def test_the_other_ratio_says_nothing_of_the_heart(candidate, table):
    cpar = candidate("calculation", 0.3, template="calculation.cpar.0")
    assert not verdict(table(cpar, candidate("findings", {"Cardiomegaly": 1})), "ctr-cardiomegaly")


@pytest.mark.parametrize(
    ("grade", "value", "says"),
    [(0, 1, "contradict"), (2, 0, "contradict"), (1, 0, "silent"), (3, 1, "agree"),
     (0, 0, "agree")],
)  # fmt: skip
def test_grade_against_edema(candidate, table, grade, value, says):
    rows = table(candidate("grading", grade), candidate("findings", {"Edema": value}))
    assert verdict(rows, "grade-edema")["grading-0"] == says


def test_report_against_findings_label_by_label(candidate, table):
    report = candidate("report", {"findings": "There is a pneumothorax. No pleural effusion."})
    findings = candidate("findings", {"Pneumothorax": 0, "Pleural Effusion": 0, "Edema": 1})
    rules = [r for r in load_rules() if r.name == "report-findings"]
    found = check_consistency(table(report, findings), empty(ENTRIES), IMAGE, rules)
    mine = found.filter(pl.col("pseudo_id") == "findings-0")
    assert dict(mine.select("name", "verdict").iter_rows()) == {
        "Pneumothorax": "contradict", "Pleural Effusion": "agree",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer", "says"),
    [
        (ASK.format("pneumothorax"), "no", "contradict"),
        (ASK.format("pneumothorax"), "yes", "agree"),
        (ASK.format("a left pneumothorax"), "no", None),  # the right one may be there
        ("Is the pneumothorax new?", "no", None),
        ("Where is the pneumothorax?", "none", "contradict"),
        ("Where is the pneumothorax?", "left lung", "agree"),
    ],
)
def test_vqa_against_findings(candidate, table, text, answer, says):
    rows = table(question(candidate, text, answer), candidate("findings", {"Pneumothorax": 1}))
    assert verdict(rows, "vqa-findings").get("vqa-0") == says


def test_vqa_against_boxes(candidate, table):
    no = question(candidate, ASK.format("consolidation"), "no")
    box = reg(candidate, LEFT, "left consolidation")
    found = verdict(table(no, box), "vqa-boxes")
    assert found == {"vqa-0": "contradict", "reg-0": "contradict"}
    other = reg(candidate, LEFT, "left pleural effusion")
    assert not verdict(table(no, other), "vqa-boxes")


def test_the_width_of_the_heart_is_asked_of_the_ratio(candidate, table):
    text = "Is the width of the cardiac silhouette wider than 1/2 of the thorax width?"
    rows = table(question(candidate, text, "yes"), candidate("calculation", 0.41))
    assert verdict(rows, "ctr-question")["vqa-0"] == "contradict"


def test_the_cycle_from_phrase_to_box_to_phrase(candidate, table):
    there = rec(candidate, "left lower lung zone", LEFT)
    back = reg(candidate, LEFT, "left lower lung zone")
    assert verdict(table(there, back), "cycle-phrase")["rec-0"] == "agree"
    wrong = reg(candidate, LEFT, "trachea")
    assert verdict(table(there, wrong), "cycle-phrase")["rec-0"] == "contradict"
    sideways = reg(candidate, LEFT, "right lower lung zone")  # token F1 is high
    assert verdict(table(there, sideways), "cycle-phrase")["rec-0"] == "contradict"
    elsewhere = reg(candidate, RIGHT, "trachea")
    assert not verdict(table(there, elsewhere), "cycle-phrase")


def test_the_cycle_from_box_to_phrase_to_box(candidate, table):
    there = reg(candidate, LEFT, "left hilar structures")
    back = rec(candidate, "left hilar structures", LEFT)
    assert verdict(table(there, back), "cycle-box")["reg-0"] == "agree"
    lost = rec(candidate, "left hilar structures", RIGHT)
    assert verdict(table(there, lost), "cycle-box")["reg-0"] == "contradict"


@pytest.mark.parametrize(
    ("phrase", "box", "says"),
    [
        ("right lung", RIGHT, "fits"),  # the patient's right is the image's left
        ("right lung", LEFT, "misses"),
        ("left lung", RIGHT, "misses"),
        ("bilateral effusions", RIGHT, None),
        ("trachea", RIGHT, None),
        ("right lung", (30, 0, 80, 50), None),  # it reaches over
        ("upper lung zone", (10, 5, 40, 40), "fits"),
        ("upper lung zone", (10, 60, 40, 90), "misses"),
        ("right lower lung zone", (10, 60, 40, 90), "fits"),
        ("right lower lung zone", (10, 5, 40, 40), "misses"),
    ],
)
def test_words_of_place(phrase, box, says):
    assert place(phrase, [list(box)], (100, 100)) == says


def test_place_is_asked_of_frontal_images_alone(candidate, table):
    rows = table(rec(candidate, "right lung", LEFT))
    assert verdict(rows, "place") == {"rec-0": "contradict"}
    lateral = IMAGE.with_columns(pl.lit("LATERAL").alias("view"))
    assert verdict(rows, "place", images=lateral) == {"rec-0": "silent"}


def test_a_real_entry_outranks_the_most_confident_candidate(candidate, table):
    real = pseudo_entries(table(candidate("calculation", 0.40)))
    sure = table(candidate("findings", {"Cardiomegaly": 1}, logprob=-1e-9))
    rules = [r for r in load_rules() if r.name == "ctr-cardiomegaly"]
    found = check_consistency(sure, real, IMAGE, rules).row(0, named=True)
    assert (found["verdict"], found["weaker"], found["other_real"]) == ("contradict", True, True)


def test_of_two_candidates_the_less_confident_is_weaker(candidate, table):
    rows = table(
        candidate("calculation", 0.40, logprob=-0.5),
        candidate("findings", {"Cardiomegaly": 1}, logprob=-0.1),
    )
    rules = [r for r in load_rules() if r.name == "ctr-cardiomegaly"]
    found = check_consistency(rows, empty(ENTRIES), IMAGE, rules)
    assert dict(found.select("pseudo_id", "weaker").iter_rows()) == {
        "calculation-0": True, "findings-0": False,
    }  # fmt: skip


def test_an_answer_does_not_judge_itself_or_another_image(candidate, table):
    rows = table(
        candidate("calculation", 0.40),
        candidate("findings", {"Cardiomegaly": 1}, image_id="another"),
    )
    found = check_consistency(rows, empty(ENTRIES), IMAGE, load_rules())
    assert set(found["verdict"]) == {"silent"}


def test_silence_denies_what_the_data_set_usually_states(candidate, table):
    taught = pseudo_entries(
        table(*(candidate("findings", {"Cardiomegaly": k % 2, "Edema": 1}, number=k,
                          image_id=f"other{k}") for k in range(4)),
              candidate("findings", {"Fracture": 1}, number=9, image_id="rare"))
    )  # fmt: skip
    assert usual_labels("findings", taught) == {"Cardiomegaly", "Edema"}
    rows = table(candidate("calculation", 0.60), candidate("findings", {"Edema": 1}))
    assert verdict(rows, "ctr-cardiomegaly", taught)["findings-0"] == "contradict"
    assert not verdict(rows, "ctr-cardiomegaly")  # nothing is known of the habit


def test_rules_hardly_ever_accuse_the_truth(dmax, lacking, fabricate):
    right = fabricate(lacking, 1.0)
    found = check_consistency(right, dmax.tables.split("train"), dmax.tables.images, load_rules())
    accused = found.filter(pl.col("verdict") == "contradict")["pseudo_id"].n_unique()
    assert accused < 0.01 * right.height
    agreed = found.filter(pl.col("verdict") == "agree")["pseudo_id"].n_unique()
    assert agreed > 0.5 * right.height


def test_what_dmax_lacks_is_not_looked_up_in_its_annotations(dmax, lacking, fabricate):
    """Annotations of DMAX's images hold the truth of the tasks it lacks: a filter must not."""
    assert dmax.tables.annotations.height > 0
    one = fabricate(lacking.filter(pl.col("task") == "grading"), 0.0)
    found = check_consistency(one, empty(ENTRIES), dmax.tables.images, load_rules())
    assert set(found["verdict"]) <= {"silent"}
