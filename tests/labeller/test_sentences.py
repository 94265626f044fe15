"""Tests how report text is cut into sentences."""

import pytest

from imaxray.labeller import label_report
from imaxray.labeller.sentences import sentences

WRAPPED = "There is no evidence of focal consolidation, pleural\neffusion or pneumothorax."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No edema. Clear lungs.", ["no edema", "clear lungs"]),
        ("1. No acute process 2. Stable heart", ["no acute process", "stable heart"]),
        ("a) No edema b) Normal", ["no edema", "normal"]),
        ("- No edema\n* Small effusion", ["no edema", "small effusion"]),
        ("A nodule of 1.5 cm.", ["a nodule of 1.5 cm"]),
        ("No edema.Stable heart.", ["no edema", "stable heart"]),
        ("Lungs: clear Pleura: effusion", ["lungs: clear", "pleura: effusion"]),
        ("**Findings:** No edema", ["no edema"]),
        ("## Impression\nNo edema", ["impression", "no edema"]),
        ("Edema? No.", ["edema: no"]),
        ("Edema?", ["edema?"]),
        ("?edema", ["questionable edema"]),
        ("No ___ edema. [**Name**] seen.", ["no xxxx edema", "xxxx seen"]),
        ("It isn't edema", ["it is not edema"]),
        (WRAPPED, ["there is no evidence of focal consolidation, pleural effusion or "
                   "pneumothorax"]),
        ("No edema\nSmall effusion", ["no edema", "small effusion"]),
        ("edema\nno effusion", ["edema", "no effusion"]),
        ("INDICATION: Edema. Cough. FINDINGS: Clear.", ["clear"]),
        ("Comparison: none. The lungs are clear.", ["the lungs are clear"]),
        ("History: pneumonia\nClear lungs", ["clear lungs"]),
        ("", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_sentences(text, expected):
    assert list(sentences(text)) == expected


def test_capitals_mean_the_same():
    assert label_report(WRAPPED.upper()) == label_report(WRAPPED)
    assert label_report(WRAPPED)["Pleural Effusion"] == 0
