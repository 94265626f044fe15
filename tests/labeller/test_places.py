"""Tests which side and zone of the lungs a sentence gives to each of its findings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.labeller import mentions


def sides(text):
    return [(m.label, m.side) for m in mentions(text) if m.value == 1]


EFFUSION, OPACITY, AIR = "Pleural Effusion", "Lung Opacity", "Pneumothorax"
DEVICE, CONSOLIDATION = "Support Devices", "Consolidation"


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Left effusion.", "left"),
        ("Effusion, left.", "left"),
        ("Effusion: left.", "left"),
        ("Lt effusion.", "left"),
        ("L pleural effusion.", "left"),
        ("No change in the left effusion.", "left"),
        ("There is a left effusion but no right effusion.", "left"),
        ("Effusion on the left, none on the right.", "left"),
        ("Small left and no right effusion.", "left"),
        ("Left effusion, right lung is clear.", "left"),
        ("Left effusion has increased while right has resolved.", "left"),
        ("Left effusion is unchanged from the right decubitus view.", "left"),
        ("Left effusion is unchanged from the right-sided decubitus view.", "left"),
        ("Large left effusion shifting the mediastinum to the right.", "left"),
        ("Left effusion with shift of the mediastinum to the right.", "left"),
        ("Left effusion and right-to-left shift.", "left"),
        ("Right catheter and left effusion.", "left"),
        ("Left and right effusions.", "both"),
        ("Mild left and moderate right effusions.", "both"),
        ("Left effusion, also seen on the right.", "both"),
        ("Left effusion has increased, right is unchanged.", "both"),
        ("Effusions, right greater than left.", "both"),
        ("R > L effusions.", "both"),
        ("Bilateral effusions, larger on the left.", "both"),
        ("Left effusion is larger than the right.", "both"),
        # it is on the other side as well, or nobody knows
        ("Effusion, worse on the left.", None),
        ("Effusions are greatest on the left.", None),
        ("Left-predominant effusion.", None),
        ("Effusion after left surgery.", None),
        ("Left lateral view shows effusion.", None),
        ("Right-to-left shift from effusion.", None),
        ("Rotation to the left, effusion.", None),
        ("R/o effusion; effusion is present.", None),
    ],
)
def test_the_side_of_an_effusion_is_the_one_that_its_words_give(text, side):
    assert set(sides(text)) - {(DEVICE, "right")} == {(EFFUSION, side)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Right upper lobe and left lower lobe consolidation.", [(CONSOLIDATION, "both")]),
        ("Consolidation in the right upper lobe and left lower lobe.", [(CONSOLIDATION, "both")]),
        ("Consolidation in the RUL, RML and LLL.", [(CONSOLIDATION, "both")]),
        ("RLL consolidation.", [(CONSOLIDATION, "right")]),
        ("Consolidation in the right base, left base opacity.",
         [(CONSOLIDATION, "right"), (OPACITY, "left")]),
        ("Left chest tube, small right pneumothorax.", [(DEVICE, "left"), (AIR, "right")]),
        ("Small pneumothorax under the left chest tube.", [(AIR, None), (DEVICE, "left")]),
        ("Right chest tube for left pneumothorax.", [(DEVICE, None), (AIR, "left")]),
        ("Right consolidation, left base, opacity.", [(CONSOLIDATION, None), (OPACITY, None)]),
    ],
)  # fmt: skip
def test_each_finding_has_its_own_side(text, found):
    assert sides(text) == found


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Nodule in the right upper lobe.", "upper"),
        ("Nodule in the right middle lobe.", "mid"),
        ("LLL nodule.", "lower"),
        ("Right upper and lower lobe nodules.", None),
        ("Nodule in the right upper lobe and left lower lobe.", None),
        ("Heart at the upper limits of normal with nodule.", None),
        ("Nodule, lower than the upper abdomen.", None),
    ],
)
def test_the_zone_is_that_of_the_lung(text, zone):
    assert {m.zone for m in mentions(text) if m.label == "Lung Lesion"} == {zone}


WORDS = st.lists(
    st.sampled_from(
        [
            "left",
            "right",
            "both",
            "bilateral",
            "effusion",
            "catheter",
            "upper",
            "lower",
            "lobe",
            "and",
            ",",
            "with",
            "but",
            "after",
            "worse",
            "on",
            "the",
            "no",
            "opacity",
            "greater",
            "than",
            "rll",
            "l",
            "r",
            "to",
            "shifted",
            "is",
            "unchanged",
            "clear",
        ]
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(WORDS)
def test_a_side_is_never_read_that_the_text_does_not_name(words):
    text = " ".join(words)
    named = {"left": {"left", "l"}, "right": {"right", "r", "rll"}}
    for mention in mentions(text):
        if mention.side in named:
            assert named[mention.side] & set(words)
        if mention.side == "both":
            assert {"both", "bilateral"} & set(words) or (
                named["left"] & set(words) and named["right"] & set(words)
            )
