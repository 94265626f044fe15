"""Tests that each item of a list in a report becomes a sentence of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.curation.text.lists import as_sentences
from imaxray.labeller import label_report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No acute process 2. Stable cardiomegaly", "No acute process.|Stable cardiomegaly"),
        ("1. No acute process 2. Stable cardiomegaly", "No acute process.|Stable cardiomegaly"),
        ("1. No acute process\n2. Stable cardiomegaly", "No acute process.|Stable cardiomegaly"),
        ("1. No edema,\n2. Effusion", "No edema.|Effusion"),
        ("1) Edema.\n2) Effusion.", "Edema.|Effusion."),
        ("(1) Edema (2) Effusion", "Edema.|Effusion"),
        ("#1 Edema", "#1 Edema"),
        ("1.Edema\n2.Effusion", "Edema.|Effusion"),
        ("- No pleural effusion\n- Cardiomegaly", "No pleural effusion.|Cardiomegaly"),
        ("* No effusion\n* Edema", "No effusion.|Edema"),
        ("\u2022 No effusion\n\u2022 Edema", "No effusion.|Edema"),
        ("- No effusion - Edema", "No effusion.|Edema"),
        ("-No effusion\n-Edema", "No effusion.|Edema"),
        ("As follows:\n1. No edema\n2. Mass", "As follows:|No edema.|Mass"),
        ("1. Edema without\n effusion\n2. Mass", "Edema without\n effusion.|Mass"),
        ("1. Old fracture. 2. Size is 3.5 cm. 3. Mass.", "Old fracture.|Size is 3.5 cm.|Mass."),
        ("1. Mass\n2. Edema\n1. Tube\n2. Line", "Mass.|Edema.|Tube.|Line"),
    ],
)
def test_items_become_sentences(text, expected):
    assert as_sentences(text).replace("\n", "|") == expected.replace("\n", "|")


@pytest.mark.parametrize(
    "text",
    [
        "A nodule at rib 2. It measures 3.5 cm.",
        "The tip is at T\n 4. No effusion.",
        "The effusion measures\n 12. It is unchanged.",
        "Compared to day 2. No change.",
        "Right-\nsided effusion",
        "A 3-cm mass",
        "Well\n-positioned tube",
        "Lungs - clear",
        "Grade 2. The edema is stable.",
        "",
    ],
)
def test_numbers_and_dashes_of_sentences_stay(text):
    assert as_sentences(text) == text


@pytest.mark.parametrize("mark", ["{}. ", "{}) ", "({}) ", "- ", "* "])
@pytest.mark.parametrize("between", ["\n", " \n ", "\n\n"])
def test_a_list_flips_no_label(mark, between):
    items = ["No pleural effusion", "Cardiomegaly", "No pneumothorax", "Edema"]
    text = between.join(mark.format(k) + item for k, item in enumerate(items, start=1))
    plain = as_sentences(text).replace("\n", " ")
    assert label_report(plain) == label_report(". ".join(items))


@given(st.lists(st.sampled_from(["Edema", "No mass", "Size 3.5 cm", "Rib 2"]), min_size=2))
def test_the_words_of_the_items_stay(items):
    text = "\n".join(f"{k}. {item}" for k, item in enumerate(items[:20], start=1))
    assert as_sentences(text) == ".\n".join(items[:20])
    assert as_sentences(as_sentences(text)) == as_sentences(text)
