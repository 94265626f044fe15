"""Tests box conventions: every conversion returns to the internal convention."""

import json
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from imaxray import boxes
from imaxray.boxes import (
    BOX_2D,
    CONVENTIONS,
    PER_MILLE,
    PER_MILLE_TAGGED,
    PERCENT,
    PIXELS,
    BoxConvention,
    find_convention,
    get_convention,
)
from imaxray.errors import ImaxrayError
from imaxray.geometry import WHOLE, Letterbox, SmartResize, TileCanvas

GEOMETRIES = [
    WHOLE,
    Letterbox(),
    SmartResize(),
    SmartResize(32, 4096, 32 * 32 * 4096),
    TileCanvas(),
]
SEEN = [
    convention.seen_through(geometry)
    for convention in CONVENTIONS.values()
    for geometry in GEOMETRIES
]


@st.composite
def box_in_image(draw, thinnest=0.05):
    width, height = draw(st.integers(50, 4000)), draw(st.integers(50, 4000))
    x1 = draw(st.floats(0, width * 0.9))
    y1 = draw(st.floats(0, height * 0.9))
    x2 = draw(st.floats(x1 + width * thinnest, width, exclude_min=True))
    y2 = draw(st.floats(y1 + height * thinnest, height, exclude_min=True))
    return (x1, y1, x2, y2), width, height


def close(box, again, step, convention):
    """Each side within half a step; where a side was thinner than a step, within one.

    A convention whose highest number is below the edge's is off by one step at the edge, and the
    left or upper side of a thin box there by two, since its other side has that number; the middle
    of a neighbouring bin is off by one and a half.
    """
    thin = [box[k + 2] - box[k] < step[k] for k in (0, 1)]
    last = convention.last is not None
    most = [2.0 if last and k < 2 else 1.5 if convention.bins else 1.0 for k in range(4)]
    return all(
        abs(v - w) <= step[k % 2] * (most[k] if thin[k % 2] else 1.0 if last else 0.5) + 1e-6
        for k, (v, w) in enumerate(zip(box, again, strict=True))
    )


@pytest.mark.parametrize("convention", SEEN, ids=lambda c: f"{c.name}-{c.geometry.kind}")
@settings(max_examples=25, deadline=None)
@given(case=box_in_image())
def test_written_boxes_come_back_within_their_resolution(convention, case):
    box, width, height = case
    text, found = convention.extract(convention.render(box, width, height), width, height)
    assert text == boxes.PLACEHOLDER
    step = convention.resolution(width, height)
    assert close(box, found[0], step, convention)
    if max(step) <= 1 and convention.last is None:
        assert all(abs(v - w) <= 0.5 + 1e-6 for v, w in zip(box, found[0], strict=True))


@pytest.mark.parametrize("convention", SEEN, ids=lambda c: f"{c.name}-{c.geometry.kind}")
@settings(max_examples=25, deadline=None)
@given(
    cases=st.lists(box_in_image(thinnest=1e-6), min_size=1, max_size=4), between=st.text(max_size=8)
)
@example(cases=[((0, 0, 1, 1), 91, 2000), ((90, 0, 91, 1), 91, 2000)], between="")  # at the edge
@example(cases=[((0, 0, 1, 1), 251, 50), ((249, 0, 251, 1), 251, 50)], between="")
def test_text_around_boxes_comes_back(convention, cases, between):
    _, width, height = cases[0]
    found = [boxes.clip(box, width, height) or (0.0, 0.0, 1.0, 1.0) for box, _, _ in cases]
    between = re.sub(r"[\[\]{}<>]", "", between)  # what is no box of its own
    for joint in (between, " "):
        text = f"a {joint.join([boxes.PLACEHOLDER] * len(found))} b"
        written = convention.fill(text, found, width, height)
        bare, again = convention.extract(written, width, height)
        assert len(again) == len(found) == bare.count(boxes.PLACEHOLDER)
        assert bare == text or (convention.tags and between.strip() == "")
        step = convention.resolution(width, height)
        assert all(close(*pair, step, convention) for pair in zip(found, again, strict=True))


@settings(deadline=None)
@given(st.text(alphabet='[]{}<box/>0123456789., "_2d:\n', max_size=80))
def test_whatever_a_model_writes_has_as_many_placeholders_as_boxes(text):
    for convention in CONVENTIONS.values():
        bare, found = convention.extract(text, 640, 480)
        assert bare.count(boxes.PLACEHOLDER) == len(found)
        for x1, y1, x2, y2 in found:
            assert 0 <= x1 < x2 <= 640 and 0 <= y1 < y2 <= 480


@given(case=box_in_image())
def test_xywh_and_back(case):
    box, _, _ = case
    assert boxes.from_xywh(*boxes.to_xywh(box)) == pytest.approx(box)


@pytest.mark.parametrize(
    "text",
    ["[10, 20, 30]", "[10, 20, 5, 40]", "[10, 20, 130, 40]", "(10, 20, 30, 40)", "10 20 30 40"],
)
def test_what_is_no_box_of_the_convention_stays_in_the_text(text):
    """Nothing is guessed: 130 is no percentage, disordered corners are no box."""
    assert PERCENT.extract(text, 100, 100) == (text, [])


def test_pixel_boxes_are_not_read_as_per_mille():
    assert PER_MILLE.extract("[1510, 1820, 2130, 2360]", 2544, 3056)[1] == []


def test_fill_counts_placeholders():
    assert PERCENT.fill("at <box>", [(0, 0, 50, 50)], 100, 100) == "at [0, 0, 50, 50]"
    with pytest.raises(ValueError, match="2 boxes for 1"):
        PERCENT.fill("at <box>", [(0, 0, 1, 1)] * 2, 100, 100)


def test_iou_by_hand():
    assert boxes.iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert boxes.iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert boxes.iou((0, 0, 2, 1), (0, 0, 1, 1)) == 0.5


def test_clip():
    assert boxes.clip((-5, 10, 50, 200), 100, 100) == (0.0, 10.0, 50.0, 100.0)
    assert boxes.clip((120, 10, 150, 20), 100, 100) is None


def test_each_convention_as_its_models_write_it():
    box, size = [(100.0, 200.0, 300.0, 400.0)], (1000, 2000)
    written = {name: c.fill("<box>", box, *size) for name, c in CONVENTIONS.items()}
    assert written == {
        "percent": "[10, 10, 30, 20]",
        "per-mille": "[100, 100, 300, 200]",
        "per-mille-tagged": "<box>[[100, 100, 300, 200]]</box>",
        "unit": "[0.10, 0.10, 0.30, 0.20]",
        "unit-padded": "[0.30, 0.10, 0.40, 0.20]",  # 500 columns of padding on either side
        "pixels": "[70, 140, 210, 280]",  # 1000 x 2000 becomes 700 x 1400
        "box-2d": '```json\n[{"box_2d": [100, 300, 200, 400]}]\n```',
        "points": "<|box_start|>(100,100),(300,200)<|box_end|>",
        "loc-1024": "<loc0102><loc0102><loc0205><loc0307>",
        "loc-1000": "<loc_100><loc_100><loc_300><loc_200>",
        "points-100": "<|box|>(10,10),(30,20)<|/box|>",
        "crop-100": "<box><x10><y0><x30><y1></box>",  # the crop begins 500 rows below the top
    }
    assert PIXELS.geometry.frame(*size).width == 700
    assert BOX_2D.fill("the <box>", box, *size) == 'the {"box_2d": [100, 300, 200, 400]}'


def test_answers_as_real_models_give_them():
    medmo = "Fractures <box>[[156, 516, 231, 607], [10, 20, 30, 40]]</box>"
    assert PER_MILLE_TAGGED.extract(medmo, 1000, 1000) == (
        "Fractures <box> <box>",
        [(156, 516, 231, 607), (10, 20, 30, 40)],
    )
    # some decoders drop special tokens, and the tags are some
    assert PER_MILLE_TAGGED.extract("[[1, 2, 3, 4]]", 1000, 1000)[1] == [(1, 2, 3, 4)]
    medgemma = '```json\n[{"label": "heart", "box_2d": [340, 120, 780, 560]}]\n```'
    bare, found = BOX_2D.extract(medgemma, 1000, 1000)
    assert bare == "```json\n[<box>]\n```" and found == [(120, 340, 560, 780)]
    qwen = '[{"bbox_2d": [70, 140, 210, 280], "label": "nodule"}]'
    assert PIXELS.extract(qwen, 1000, 2000)[1] == [(100, 200, 300, 400)]


@pytest.mark.parametrize(
    ("convention", "text"),
    [
        (PER_MILLE_TAGGED, "<box>[[1, 2, 3]]</box>"),
        (PER_MILLE_TAGGED, "<box>[1, 2, 3, 4]</box>"),
        (PER_MILLE_TAGGED, "[[1, 2, 3, 4], [1, 2, 3, 1004]]"),
        (PER_MILLE, "[0.1, 0.2, 0.3, 0.4]"),
        (PIXELS, "[70, 140, 210, 1401]"),
        (PIXELS, "[70.5, 140, 210, 280]"),
        (BOX_2D, "[340, 120, 780, 560]"),
        (BOX_2D, '{"box": [340, 120, 780, 560]}'),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_other_conventions_boxes_are_not_read(convention, text):
    bare, found = convention.extract(text, 1000, 2000)
    assert found == [] and bare.replace("&lt;box&gt;", "<box>") == text


def test_boxes_in_the_padding():
    """1000 x 2000 in a square of 2000: columns 500 to 1500 are the image."""
    seen = PER_MILLE.seen_through(Letterbox())
    assert seen.extract("[0, 100, 200, 300]", 1000, 2000)[1] == []
    assert seen.extract("[200, 100, 300, 300]", 1000, 2000)[1] == [(0, 200, 100, 600)]


def test_relative_numbers_do_not_depend_on_tiles():
    box, size = (100.0, 20.0, 300.0, 90.0), (700, 333)
    assert PER_MILLE.seen_through(TileCanvas()).render(box, *size) == PER_MILLE.render(box, *size)


def test_conventions_by_name_and_as_plain_values():
    for name, convention in CONVENTIONS.items():
        assert get_convention(name) is convention
        again = BoxConvention.from_dict(json.loads(json.dumps(convention.as_dict())))
        assert again == convention
    with pytest.raises(ImaxrayError, match="one of percent"):
        get_convention("pixel")


@st.composite
def box_within_resolution(draw, convention):
    """An image no finer than the convention's step, and a box of at least two pixels."""
    steps = round((convention.scale or 1000) * 10**convention.decimals)
    width, height = draw(st.integers(8, steps)), draw(st.integers(8, steps))
    assume(max(convention.resolution(width, height)) <= 1)
    x1, y1 = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
    x2, y2 = draw(st.floats(x1 + 2, width)), draw(st.floats(y1 + 2, height))
    return (x1, y1, x2, y2), width, height


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@settings(deadline=None)
@given(data=st.data())
def test_boxes_survive_every_convention_within_half_a_pixel(convention, data):
    """Where the image is no finer than the convention; else within half a step, as above."""
    cases = st.lists(box_within_resolution(convention), min_size=1, max_size=3)
    for box, width, height in data.draw(cases):
        frame = convention.geometry.frame(width, height)
        if boxes.clip(frame.enter(box), frame.width, frame.height) != frame.enter(box):
            continue  # a crop has no place for it
        through_xywh = boxes.from_xywh(*boxes.to_xywh(box))
        said = convention.fill(f"a {boxes.PLACEHOLDER} b", [through_xywh], width, height)
        text, (again,) = convention.extract(said, width, height)
        assert text == f"a {boxes.PLACEHOLDER} b"
        most = 0.5 if convention.last is None else 1.0  # at the edge
        assert max(abs(a - b) for a, b in zip(box, again, strict=True)) <= most + 1e-6
        assert boxes.clip(again, width, height) == again


@pytest.mark.parametrize("name", ["qwen2.5-vl", "Lingshu-7B", "huatuogpt-vision-7b"])
def test_a_model_has_the_areas_of_its_released_checkpoint(name):
    """2048 by 2500 has 5.1 million pixels, fewer than the 12.8 million of the checkpoint."""
    assert find_convention(name).render((0, 0, 2048, 2500), 2048, 2500) == "[0, 0, 2044, 2492]"
    capped = find_convention(name, max_pixels=1_003_520)
    assert capped.render((0, 0, 2048, 2500), 2048, 2500) == "[0, 0, 896, 1092]"
    assert find_convention("pixels") == PIXELS
