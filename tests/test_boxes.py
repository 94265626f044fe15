"""One internal convention, every conversion there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray import boxes
from imaxray.boxes import PER_MILLE, PERCENT, BoxConvention

CONVENTIONS = sorted(
    (value for value in vars(boxes).values() if isinstance(value, BoxConvention)),
    key=lambda convention: convention.name,
)
"""Whatever the module has, so that none is added untested."""


@st.composite
def box_in_image(draw):
    width, height = draw(st.integers(50, 4000)), draw(st.integers(50, 4000))
    x1 = draw(st.floats(0, width * 0.9))
    y1 = draw(st.floats(0, height * 0.9))
    x2 = draw(st.floats(x1 + width * 0.05, width))
    y2 = draw(st.floats(y1 + height * 0.05, height))
    return (x1, y1, x2, y2), width, height


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
@given(case=box_in_image())
def test_rendered_boxes_come_back_within_their_resolution(convention, case):
    box, width, height = case
    text, found = convention.extract(convention.render(box, width, height), width, height)
    assert text == boxes.PLACEHOLDER
    step = 10**-convention.decimals / convention.scale
    for value, again, side in zip(box, found[0], (width, height) * 2, strict=True):
        assert abs(value - again) <= (0.5 * step + 1e-9) * side


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


@st.composite
def box_within_resolution(draw, convention):
    """An image no finer than the convention's step, and a box of at least two pixels."""
    steps = round(convention.scale * 10**convention.decimals)
    width, height = draw(st.integers(4, steps)), draw(st.integers(4, steps))
    x1, y1 = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
    x2, y2 = draw(st.floats(x1 + 2, width)), draw(st.floats(y1 + 2, height))
    return (x1, y1, x2, y2), width, height


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
@given(data=st.data())
def test_boxes_survive_every_convention_within_half_a_pixel(convention, data):
    """Where the image is no finer than the convention; else within half a step, as above."""
    cases = st.lists(box_within_resolution(convention), min_size=1, max_size=3)
    for box, width, height in data.draw(cases):
        through_xywh = boxes.from_xywh(*boxes.to_xywh(box))
        said = convention.fill(f"a {boxes.PLACEHOLDER} b", [through_xywh], width, height)
        text, (again,) = convention.extract(said, width, height)
        assert text == f"a {boxes.PLACEHOLDER} b"
        assert max(abs(a - b) for a, b in zip(box, again, strict=True)) <= 0.5 + 1e-6
        assert boxes.clip(again, width, height) == again
