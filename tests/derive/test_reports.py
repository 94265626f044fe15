"""Tests what follows from the wording of real reports, and what does not."""

import pytest

from imaxray.derive import About, Fact, Habits, Known
from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.labeller.edema import edema_grade
from imaxray.schema import SECTIONS

RULES = {rule.name: rule for rule in BUILT_IN}


def labels(*texts):
    facts = [Fact("report", s, text=t) for s, t in zip(SECTIONS, texts, strict=False)]
    found = RULES["report-label"].conclude(Known(About("a/1", "PA"), facts), Habits())
    return {c.fact.name: int(c.fact.value) for c in found}


def listed(text):
    facts = [Fact("report", "findings", text=text)]
    found = RULES["report-findings"].conclude(Known(About("a/1", "PA"), facts), Habits())
    return [dict(c.fact.labels) for c in found]


@pytest.mark.parametrize(
    "text",
    ["Unchanged.", "No significant interval change.", "As above.", "Limited study.",
     "Status post right pneumonectomy.", "Stable appearance.", "Hilar prominence.",
     "Heart size cannot be assessed.", "Evaluate for pneumonia.", "No new infiltrate.",
     "Tiny left apical PTX.", "Complete white-out of the left hemithorax."],
)  # fmt: skip
def test_a_report_that_calls_nothing_normal_has_no_label(text):
    assert labels(text) == {}
    assert listed(text) == []


@pytest.mark.parametrize(
    "text",
    ["Normal chest.", "No acute cardiopulmonary process.", "Clear lungs.", "No pneumothorax.",
     "The chest is unremarkable.", "No evidence of active disease.", "Endotracheal tube."],
)  # fmt: skip
def test_a_normal_report_has_no_finding(text):
    assert labels(text)["No Finding"] == 1
    assert listed(text)[0]["No Finding"] == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("No left pneumothorax.", None),
        ("No pneumothorax on the right.", None),
        ("The right pneumothorax has resolved.", None),
        ("No left pneumothorax. No right pneumothorax.", 0),
        ("No left or right pneumothorax.", 0),
        ("No left pneumothorax. Pneumothorax is absent.", 0),
        ("No left pneumothorax. Right pneumothorax.", 1),
        ("No pneumothorax.", 0),
        ("No pneumothorax after removal of the left chest tube.", 0),
    ],
)
def test_what_is_denied_on_one_side_may_be_on_the_other(text, value):
    assert labels(text).get("Pneumothorax") == value
    for some in listed(text):
        assert some.get("Pneumothorax") == value


def test_the_clear_lung_denies_no_opacity_of_the_other_lung():
    assert "Lung Opacity" not in labels("Left lower lobe consolidation. The right lung is clear.")
    assert labels("The lungs are clear.")["Lung Opacity"] == 0


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("No severe pulmonary edema. Mild vascular congestion.", 1),
        ("No severe pulmonary edema, mild vascular congestion.", 1),
        ("Previously severe pulmonary edema has improved to vascular congestion.", None),
        ("Severe edema on the prior film. Interstitial edema now.", 2),
        ("Severe pulmonary edema.", 3),
        ("Severe bilateral alveolar edema.", 3),
        ("No alveolar edema.", None),
        ("No interstitial edema.", None),
        ("No alveolar edema. No pulmonary edema.", 0),
        ("No alveolar edema. Vascular congestion.", 1),
        ("No vascular congestion or edema.", 0),
    ],
)
def test_the_grade_is_of_the_edema_that_is_there_now(text, grade):
    assert edema_grade(text) == grade


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Status post left lower lobectomy for lung cancer.", {}),
        ("Status post resection of right upper lobe mass. No effusion.", {"Pleural Effusion": 0}),
        ("Surgical clips from resection of carcinoma with new effusion.", {"Pleural Effusion": 1}),
        ("After radiation for lung cancer, there is consolidation.", {"Consolidation": 1}),
        ("Skin fold mimicking a pneumothorax, and edema.", {"Edema": 1}),
        ("Nipple shadow simulating a nodule.", {}),
        ("Left lung mass.", {"Lung Lesion": 1}),
        ("Treatment of pneumonia is recommended; pneumonia persists.", {"Pneumonia": 1}),
    ],
)
def test_what_was_treated_or_only_looks_like_it_is_not_on_the_image(text, wanted):
    assert {k: v for k, v in labels(text).items() if k != "No Finding"} == wanted
    known = Known(About("a/1"), [Fact("report", "findings", text=text)])
    if not any(wanted.values()):
        assert list(RULES["report-side"].conclude(known, Habits())) == []
