"""Tests what follows from phrases with boxes, and from boxes of organs on images of each view."""

import pytest

from imaxray.derive import About, Fact, Habits, Known
from imaxray.derive.rules.builtin import BUILT_IN

RULES = {rule.name: rule for rule in BUILT_IN}
BOX, OTHER = (1.0, 2.0, 30.0, 40.0), (50.0, 2.0, 80.0, 40.0)
LUNG = {"left": "left lung", "right": "right lung"}


def concluded(rule, facts, view="PA", **about):
    known = Known(About("a/1", view, **about), facts)
    return [c.fact for c in RULES[rule].conclude(known, Habits())]


def phrases(*texts):
    return [Fact("rec", text=text, boxes=((k, 2.0, 30.0 + k, 40.0),)) for k, text in
            enumerate(texts)]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("left retrocardiac opacity and right pleural effusion",
         {("lung opacity", "left"), ("pleural effusion", "right")}),
        ("small right effusion, left lung clear", {("pleural effusion", "right")}),
        ("right effusion shifting the heart to the left", {("pleural effusion", "right")}),
        ("nodule in the left lung after right lobectomy", {("lung lesion", "left")}),
        ("bilateral effusions", {("pleural effusion", "left"), ("pleural effusion", "right")}),
        ("pneumonia in the rll", {("pneumonia", "right")}),
        ("mass/nodule (not otherwise specified) in the right lower lung zone",
         {("lung lesion", "right")}),  # as Chest ImaGenome words it
        ("left picc line", set()),
    ],
)  # fmt: skip
def test_each_finding_of_a_phrase_has_its_own_side(text, asked):
    found = {(fact.text, fact.answers) for fact in concluded("region-side", phrases(text))}
    assert found == {(f"Is there {n} in the {LUNG[s]}?", ("yes",)) for n, s in asked}


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        (("left effusion", "right effusion"), [("left lung", "right lung")]),
        (("left effusion",), [("left lung",)]),
        (("left effusion", "effusion"), []),  # the other box may be on the right
        (("effusion, worse on the left",), []),
    ],
)
def test_where_a_finding_is_follows_only_if_every_box_names_a_side(texts, places):
    assert [fact.answers for fact in concluded("region-where", phrases(*texts))] == places


@pytest.mark.parametrize("phrase", ["multiple nodules", "scattered opacities", "bilateral edema"])
def test_one_box_of_several_does_not_locate_the_phrase(phrase):
    one = [Fact("reg", text=phrase, boxes=(BOX,))]
    assert concluded("reg-rec", one) == []
    both = [*one, Fact("reg", text=phrase, boxes=(OTHER,))]
    assert [fact.boxes for fact in concluded("reg-rec", both)] == [(BOX, OTHER)]


ORGANS = [
    Fact("rec", text="heart", boxes=((40.0, 50.0, 90.0, 95.0),), anatomy=True),
    Fact("rec", text="right lung", boxes=((0.0, 0.0, 60.0, 90.0),), anatomy=True),
    Fact("rec", text="left lung", boxes=((70.0, 0.0, 125.0, 90.0),), anatomy=True),
]


@pytest.mark.parametrize(
    ("view", "frontal"),
    [("PA", True), ("AP", True), ("FRONTAL", True), (None, True), ("LATERAL", False), ("LL", False),
     ("RAO", False), ("AP LLD", False)],
)  # fmt: skip
def test_a_ratio_is_that_of_a_frontal_image(view, frontal):
    ratio = [Fact("measurement", "ctr", 0.65)]
    assert bool(concluded("boxes-ratio", ORGANS, view)) is frontal
    assert bool(concluded("mask-ratio", [], view, ratios={"ctr": 0.4, "cpar": 0.3})) is frontal
    assert bool(concluded("ratio-label", ratio, view)) is frontal
    assert bool(concluded("ratio-question", ratio, view)) is frontal


@pytest.mark.parametrize(
    ("heart", "ratio"),
    [
        ((40.0, 90.0), 0.4),
        ((47.0, 127.0), 0.64),  # as three of the real hearts of wingspan-ctr
        ((2.0, 122.0), 0.96),
        ((10.0, 128.0), None),
        ((100.0, 150.0), None),
        ((-60.0, -10.0), None),
    ],
)
def test_a_heart_far_beyond_the_lungs_has_no_ratio(heart, ratio):
    box = (heart[0], 50.0, heart[1], 95.0)
    facts = [Fact("rec", text="heart", boxes=(box,), anatomy=True), *ORGANS[1:]]
    found = [fact.value for fact in concluded("boxes-ratio", facts)]
    assert found == ([] if ratio is None else [pytest.approx(ratio)])
