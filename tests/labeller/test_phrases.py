"""Tests the phrase rule: only plain words decide."""

import pytest

from imaxray.labeller import asked, stated


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("There is a small left pleural effusion.", {"Pleural Effusion": 1}),
        ("No pleural effusion or pneumothorax.", {"Pleural Effusion": 0, "Pneumothorax": 0}),
        ("No focal consolidation, effusion, or pneumothorax.",
         {"Consolidation": 0, "Pleural Effusion": 0, "Pneumothorax": 0}),
        ("Effusion without pneumothorax.", {"Pleural Effusion": 1, "Pneumothorax": 0}),
        ("No pneumothorax, but a small effusion.", {"Pneumothorax": 0, "Pleural Effusion": 1}),
        ("The heart is mildly enlarged.", {"Cardiomegaly": 1}),
        ("The heart is not enlarged.", {"Cardiomegaly": 0}),
        ("Heart size is within normal limits.", {"Cardiomegaly": 0}),
        ("The heart is probably enlarged. Perhaps the heart size is normal.", {}),
        ("If the heart size is normal, follow up.", {}),
        ("The heart is at the upper limits of normal in size.", {}),
        ("Pneumothorax is not seen.", {"Pneumothorax": 0}),
        ("Effusion: none. Pneumothorax: no", {"Pleural Effusion": 0, "Pneumothorax": 0}),
        # doubt, change, one part or degree, another place, both in one report: undecided
        ("Possible pneumonia.", {}),
        ("Opacity concerning for pneumonia.", {}),
        ("No change in the pleural effusion.", {}),
        ("The effusion has resolved.", {}),
        ("No large effusion.", {}),
        ("No left pleural effusion.", {}),
        ("Small pericardial effusion.", {}),
        ("No right effusion. Left effusion is present.", {}),
        ("No pneumothorax with small effusion.", {"Pneumothorax": 0}),
        ("No pneumothorax, small effusion.", {"Pneumothorax": 0}),
        ("The lungs are clear.", {}),
    ],
)  # fmt: skip
def test_reports(text, labels):
    assert stated(text) == labels


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there edema?", ("Edema", True)),
        ("Does this image show signs of pleural effusion?", ("Pleural Effusion", True)),
        ("Is the heart enlarged?", ("Cardiomegaly", True)),
        ("Is there a pneumothorax in the right lung?", ("Pneumothorax", False)),
        ("Is there new edema?", None),
        ("Is there edema or pneumonia?", None),
        ("Where is the pneumothorax?", None),
        ("Is there no pneumothorax?", None),
        ("Has the pneumonia resolved?", None),
        ("Is this a PA image?", None),
        ("Is it that the heart is not enlarged?", None),
        ("Does the image show the heart is not enlarged?", None),
        ("Is there laryngeal edema?", None),
        ("Is there soft tissue edema?", None),
        ("Is there a pericardial effusion?", None),
        ("Has the effusion resolved?", None),
        ("Can you see an effusion?", ("Pleural Effusion", True)),
    ],
)
def test_questions(question, answer):
    assert asked(question) == answer
