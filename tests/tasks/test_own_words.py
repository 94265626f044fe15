"""Tests answers in people's own words: corrections, exceptions, sides, doubts and marks."""

import pytest

from imaxray.tasks import get_task, read_answer

TEMPLATES = {
    "calculation": "calculation.ctr.0",
    "findings": "findings.list.0",
    "grading": "grading.edema.0",
    "vqa": "vqa.closed.0",
}


def read(task, answer, question):
    value = read_answer(get_task(task), answer, TEMPLATES[task], prompt=question).value
    if task == "findings" and value is not None:
        value = {label: said for label, said in value.items() if said}
    return round(value, 3) if task == "calculation" and value is not None else value


VERDICTS = [
    ("Is there cardiomegaly?", "The heart is not enlarged.", "no"),
    ("Is there cardiomegaly?", "Heart size is at the upper limit of normal.", None),
    ("Is there a pneumothorax?", "Yes. Actually, no: the line is a skin fold.", "no"),
    ("Is there a pneumothorax?", "I see no evidence of one.", "no"),
    ("Is there a pneumothorax?", "It's possible but I can't be sure.", None),
    ("Is the chest X-ray normal?", "No, there is a right effusion.", "no"),
    ("Is the chest X-ray abnormal?", "The study is unremarkable.", "no"),
    ("Is the trachea midline?", "It is shifted to the left.", "no"),
    ("Are both lungs clear?", "The right lung is clear, the left shows an opacity.", "no"),
    ("Is there any evidence of heart failure?", "Yes: cephalization and Kerley lines.", "yes"),
    ("Is the endotracheal tube present?", "No tubes or lines are seen.", "no"),
    ("Does the patient have a pacemaker?", "A dual-lead pacemaker is in place.", "yes"),
    ("Is this an AP view?", "This is a PA projection.", "no"),
    ("Is the left lung affected?", "Only the right lung is affected.", "no"),
    (
        "Is there pleural effusion on the right?",
        "There is a left effusion; the right side is clear.",
        "no",
    ),
    ("Can edema be excluded?", "Yes, the lungs are clear.", "yes"),
    ("Is there no consolidation?", "Correct, there is none.", "yes"),
    ("Is the effusion bilateral?", "It is on the left only.", "no"),
    ("Are there signs of infection?", "None.", "no"),
    ("Is there no consolidation?", "True. No consolidation is seen.", "yes"),
    ("Is there no effusion?", "No, there is none.", "yes"),
    ("Is there no effusion?", "No, there is a small effusion.", "no"),
    ("Is there an effusion?", "No, wait, yes: there is blunting.", "yes"),
    ("Is there an effusion?", "Yes — actually no.", "no"),
    ("Is there an effusion?", "Yes. On second thought, no.", "no"),
    ("Is there an effusion?", "Yes, actually a large one.", "yes"),
    ("Is there an effusion?", "Actually, yes.", "yes"),
    ("Is there an effusion?", "No. Rather, there is atelectasis.", "no"),
    ("Is there an effusion?", "I don't see one.", "no"),
    ("Is there an effusion?", "There are no signs of it.", "no"),
    ("Is there an effusion?", "I can find none.", "no"),
    ("Is there an effusion on the left?", "The left side is clear.", "no"),
    (
        "Is there an effusion on the left?",
        "The right side is clear; the left has a small effusion.",
        "yes",
    ),
    ("Is the left lung clear?", "The left lung is clear.", "yes"),
    ("Is the left lung clear?", "The right lung is clear.", None),
    (
        "Is there pneumonia in the right lung?",
        "The right lung is normal, the left shows pneumonia.",
        "no",
    ),
    ("Is there a nodule in the left lung?", "The left lung looks fine", "no"),
    ("Is there a nodule in the left lung?", "The left lung is clear except for a nodule.", "yes"),
    (
        "Is there a nodule in the left lung?",
        "The left lung is clear apart from a small nodule at the base.",
        "yes",
    ),
    ("Is the left lung clear?", "The right lung has an opacity.", None),
    ("Is the right lung clear?", "Both lungs are clear.", "yes"),
    ("Is there consolidation?", "Not really.", "no"),
]

GRADES = [
    ("No pulmonary edema (grade 0).", 0),
    ("Severity: moderate (grade 2 of 3)", 2),
    ("Grade 1/3", 1),
    ("Between grade 1 and 2", None),
    ("III", 3),
    ("Alveolar edema is not seen; interstitial edema is.", 2),
    ("vascular congestion only, no frank edema", 1),
    ('```json\n{"severity": "interstitial"}\n```', 2),
    ("The grade cannot be 3 since there is no alveolar filling; I would say 2.", 2),
    ("It can't be grade 3; I'd say 1.", 1),
    ("Not grade 3, but grade 2.", 2),
    ("I would go with 3", 3),
    ("I say 0.", 0),
    ("It could be 2.", None),
]

RATIOS = [
    ("CTR: 0.48 (normal < 0.50)", 0.48),
    ("Heart 14.2 cm, thorax 28.4 cm -> 0.50", 0.5),
    ("approximately 55%", 0.55),
    ("The ratio exceeds 0.5", None),
    ("0,47", 0.47),
    ("about one half", None),
    ("Cardiac width 512 px; thoracic width 1024 px; CTR = 0.500", 0.5),
    ("CTR of 0.58, up from 0.52 before", 0.58),
    ("$\\frac{13}{26} = 0.5$", 0.5),
    ("15/30 => 0.5", 0.5),
    ("14 → 28: 0.5", 0.5),
    (">0.5", None),
    ("CTR > 0.5", None),
    ("CTR — 0.52", 0.52),
]

LABELS = [
    ("['Edema', 'Pneumonia']", {"Edema": 1, "Pneumonia": 1}),
    ("The image shows no abnormalities.", {"No Finding": 1}),
    ("Pneumothorax: 0.02, Effusion: 0.91", None),
    (
        "Positive: effusion, edema\nNegative: pneumothorax, fracture",
        {"Pleural Effusion": 1, "Edema": 1},
    ),
    ("Everything looks fine.", {"No Finding": 1}),
    ("✔ Edema ✘ Pneumonia", {"Edema": 1}),
    ("Mild cardiomegaly; otherwise normal.", {"Cardiomegaly": 1}),
    ("Edema ✔ Pneumonia ✘", {"Edema": 1}),
    ("✘ Edema ✘ Pneumonia ✔ Fracture", {"Fracture": 1}),
    ("❌ Edema, ✅ Pneumonia", {"Pneumonia": 1}),
    ("All looks good.", {"No Finding": 1}),
    ("Everything is fine except a small effusion.", {"Pleural Effusion": 1}),
    ("Not everything is fine.", None),
    ("The chest looks healthy.", {"No Finding": 1}),
    ("The image quality is good.", None),
]


@pytest.mark.parametrize(("question", "answer", "value"), VERDICTS)
def test_yes_and_no(question, answer, value):
    found = read("vqa", answer, question)
    assert (found if found in ("yes", "no") else None) == value


@pytest.mark.parametrize(("answer", "value"), GRADES)
def test_grades(answer, value):
    assert read("grading", answer, "Grade the edema.") == value


@pytest.mark.parametrize(("answer", "value"), RATIOS)
def test_ratios(answer, value):
    assert read("calculation", answer, "What is the CTR?") == value


@pytest.mark.parametrize(("answer", "value"), LABELS)
def test_labels(answer, value):
    assert read("findings", answer, "List the findings.") == value
