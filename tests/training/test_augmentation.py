"""Tests what augmentation does to an image and its boxes: they move together, and nothing flips."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from imaxray.boxes import area, clip, iou
from imaxray.errors import ImaxrayError
from imaxray.training import Augmentation, AugmentConfig, load_recipe
from imaxray.training.augmenting.augmentation import KEPT, MARGIN, TIGHT, draw
from imaxray.training.augmenting.config import Augment

STRONGEST = AugmentConfig(
    brightness=0.5, contrast=0.5, noise=0.1, shift=0.1, rotation=10, scale=0.2
)
STILL = AugmentConfig(brightness=0, contrast=0, noise=0, shift=0, rotation=0, scale=0)
SIZES = st.tuples(st.integers(120, 260), st.integers(120, 260))
KEYS = st.integers(0, 10**9).map(str)


@st.composite
def boxed(draw_of, least=0.15):
    """A size, and a box in whole pixels that lies well inside the image."""
    width, height = draw_of(SIZES)
    sides = []
    for length in (width, height):
        low = draw_of(st.integers(round(0.15 * length), round(0.5 * length)))
        sides.append((low, low + draw_of(st.integers(round(least * length), round(0.3 * length)))))
    (x1, x2), (y1, y2) = sides
    return (width, height), (float(x1), float(y1), float(x2), float(y2))


def drawn_box(size, box):
    pixels = np.zeros(size[::-1], np.uint8)
    x1, y1, x2, y2 = map(int, box)
    pixels[y1:y2, x1:x2] = 255
    return Image.fromarray(pixels)


def found_box(picture):
    """The box around what is at least half bright."""
    bright = np.asarray(picture) >= 100
    xs, ys = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
    return xs[0], ys[0], xs[-1] + 1, ys[-1] + 1


@settings(max_examples=60, deadline=None)
@given(boxed(), KEYS)
def test_boxes_and_pixels_move_together(case, key):
    size, box = case
    config = STRONGEST.model_copy(update={"brightness": 0, "contrast": 0, "noise": 0})
    change = draw(config, key).fitted([box], size)
    there = found_box(change.image(drawn_box(size, box)))
    assert np.abs(np.subtract(change.box(box, size), there)).max() <= 2


@settings(max_examples=30, deadline=None)
@given(boxed(), KEYS)
def test_a_squashed_copy_shows_the_change_of_the_original(case, key):
    """The phantom's model sees a square, whatever the proportions of the image are."""
    size, box = case
    config = STRONGEST.model_copy(update={"brightness": 0, "contrast": 0, "noise": 0})
    change = draw(config, key).fitted([box], size)
    side = 200
    copy = drawn_box(size, box).resize((side, side), Image.Resampling.BOX)
    there = found_box(change.image(copy, size))
    scale = np.array([side / size[0], side / size[1]] * 2)
    assert np.abs(np.array(change.box(box, size)) * scale - there).max() <= 2


@settings(max_examples=200, deadline=None)
@given(SIZES, KEYS, st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=4))
def test_no_answer_becomes_wrong(size, key, corners):
    boxes = []
    for a, b, c, d in corners:
        box = (min(a, c) * size[0], min(b, d) * size[1], max(a, c) * size[0], max(b, d) * size[1])
        if box[2] - box[0] > 1 and box[3] - box[1] > 1:
            boxes.append(box)
    change = draw(STRONGEST, key).fitted(boxes, size)
    for box in boxes:
        moved = change.box(box, size)
        assert clip(moved, *size) == pytest.approx(moved)
        whole = area(box) * change.scale**2
        assert KEPT * whole * 0.999 <= area(moved) <= whole / TIGHT * 1.001
    if not change.moves:
        return
    # what lies inside the margin stays, whichever boxes there are
    width, height = size
    for x in (MARGIN * width, (1 - MARGIN) * width):
        for y in (MARGIN * height, (1 - MARGIN) * height):
            where = change.box((x - 0.01, y - 0.01, x + 0.01, y + 0.01), size)
            assert where[0] >= -0.1 and where[2] <= width + 0.1
            assert where[1] >= -0.1 and where[3] <= height + 0.1


@settings(max_examples=60, deadline=None)
@given(KEYS)
def test_sides_and_ratios_stay_true(key):
    """A marker of the right side stays on that side, and is not mirrored; ratios do not change."""
    size = (200, 160)
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[40:100, 30:40] = 255  # an L, which its mirror image does not cover
    pixels[90:100, 30:60] = 255
    config = STRONGEST.model_copy(update={"brightness": 0, "contrast": 0, "noise": 0})
    change = draw(config, key).fitted([], size)
    seen = np.asarray(change.image(Image.fromarray(pixels))) >= 100
    middle = np.flatnonzero(seen.any(0)).mean()
    assert middle < 0.4 * size[0]
    columns = seen[:, seen.any(0)].sum(0)
    assert columns[: len(columns) // 3].sum() > columns[-(len(columns) // 3) :].sum()

    heart, chest = (60.0, 80.0, 120.0, 130.0), (20.0, 30.0, 180.0, 140.0)
    plain = Augmentation(scale=change.scale, shift=change.shift)

    def width(box):
        moved = plain._around(box, size)
        return moved[2] - moved[0]

    assert width(heart) / width(chest) == pytest.approx(60 / 160)
    # rotated lengths: the diagonal's ends, in pixels, keep all proportions
    cos, sin, *_ = change._backwards(size, size)[:2]
    assert math.hypot(cos, sin) == pytest.approx(1 / change.scale)
    a, b, _, d, e, _ = change._backwards(size, size)
    assert a * e - b * d > 0  # a reflection would have a negative determinant
    assert (a, b) == pytest.approx((e, -d))


@given(KEYS, SIZES)
@settings(max_examples=30, deadline=None)
def test_no_strength_is_no_change(key, size):
    change = draw(STILL, key).fitted([(1.0, 2.0, 30.0, 40.0)], size)
    assert change == Augmentation(noise_seed=change.noise_seed)
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, size[::-1], dtype=np.uint8))
    assert np.array_equal(np.asarray(change.image(picture)), np.asarray(picture))
    assert change.box((1.5, 2.0, 30.0, 40.0), size) == (1.5, 2.0, 30.0, 40.0)
    never = draw(AugmentConfig(probability=0), key)
    assert never == Augmentation()


def test_the_same_key_gives_the_same_bytes_and_another_key_others():
    picture = Image.fromarray(np.tile(np.arange(96, dtype=np.uint8), (96, 1)))
    one, same, other = (draw(AugmentConfig(), key) for key in ("a", "a", "b"))
    assert one.image(picture).tobytes() == same.image(picture).tobytes()
    assert one.image(picture).tobytes() != other.image(picture).tobytes()


def test_strengths_are_bounds_and_are_reached():
    config = AugmentConfig()
    drawn = [draw(config, str(k)) for k in range(400)]
    for values, low, high in (
        ([d.gain for d in drawn], 0.9, 1.1),
        ([d.gamma for d in drawn], 1 / 1.15, 1.15),
        ([d.noise for d in drawn], 0, 0.02),
        ([d.rotation for d in drawn], -2, 2),
        ([d.scale for d in drawn], 1 / 1.04, 1.04),
        ([d.shift[0] for d in drawn], -0.02, 0.02),
    ):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    half = [draw(config.model_copy(update={"probability": 0.5}), str(k)) for k in range(400)]
    assert 150 < sum(d == Augmentation() for d in half) < 250


@pytest.mark.parametrize("size", [(96, 96), (512, 512), (700, 1400)])
def test_noise_has_the_same_strength_at_any_size(size):
    grey = Image.fromarray(np.full(size[::-1], 128, np.uint8))
    noisy = np.asarray(Augmentation(noise=0.04, noise_seed=1).image(grey)).astype(float)
    small = np.asarray(Image.fromarray(noisy.astype(np.float32)).resize((64, 64), Image.BOX))
    grain = min(1, 512 / max(size))
    cells = math.prod(round(side * grain) for side in size) / 64**2  # noise cells in each pixel
    assert small.std() == pytest.approx(0.04 * 255 / math.sqrt(cells), rel=0.2)
    assert abs(small.mean() - 128) < 0.5


def test_brightness_and_contrast_keep_the_order_of_grey_values():
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    for gain, gamma in ((0.9, 1.15), (1.1, 0.87), (0.5, 1.5)):
        values = np.asarray(Augmentation(gain=gain, gamma=gamma).image(ramp))[0].astype(int)
        assert (np.diff(values) >= 0).all() and values[0] == 0
        assert values[128] == round(255 * min(1, gain * (128 / 255) ** gamma))


def test_a_box_at_the_edge_keeps_the_image_from_moving_away():
    size, box = (200, 200), (0.0, 20.0, 20.0, 180.0)
    change = Augmentation(shift=(-0.03, 0))
    assert change.fitted([], size) == change
    held = change.fitted([box], size)
    assert held.shift == (0, 0) and not held.moves and held.gain == change.gain
    inner = (60.0, 20.0, 100.0, 180.0)
    assert change.fitted([inner], size) == change
    assert iou(change.box(inner, size), (54, 20, 94, 180)) == pytest.approx(1)


def test_words_stand_for_settings():
    read = TypeAdapter(Augment).validate_python
    assert read("default") == read({}) == AugmentConfig()
    assert read("none") is read(None) is None
    assert load_recipe(None, model="x").augment is None
    assert load_recipe(None, model="x", augment={"shift": 0}).augment == AugmentConfig(shift=0)
    for wrong in ({"flip": True}, {"rotation": 90}, "strong"):
        with pytest.raises(ImaxrayError, match="augment"):
            load_recipe(None, model="x", augment=wrong)
