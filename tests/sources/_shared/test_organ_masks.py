"""Tests ratios of known shapes, from contours and from run lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.sources._shared.images.organ_masks import (
    contour_ratios,
    mask_ratios,
    parse_landmarks,
    parse_runs,
)


def rle(mask):
    """The release's text of a mask: starts from 1, row by row."""
    flat = np.concatenate([[0], mask.astype(int).ravel(), [0]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges)).encode()


def rectangle(shape, x1, y1, x2, y2):
    mask = np.zeros(shape, dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


def square_contour(count, x1, y1, x2, y2):
    """Corners of a rectangle of pixels, the last repeated to ``count`` points."""
    corners = [(x1, y1), (x2 - 1, y1), (x2 - 1, y2 - 1), (x1, y2 - 1)]
    return np.array(corners + [corners[-1]] * (count - 4), dtype=float)


def test_rectangles_have_the_ratios_of_their_sides():
    shape = (60, 100)
    heart = rectangle(shape, 40, 30, 65, 50)  # 25 x 20
    right, left = rectangle(shape, 10, 5, 40, 55), rectangle(shape, 60, 5, 90, 55)  # 30 x 50 each
    runs = [parse_runs(rle(m), 6000) for m in (heart, left, right)]
    assert mask_ratios(*runs, 100) == (25 / 80, 500 / 3000)
    points = np.concatenate([
        square_contour(44, 10, 5, 40, 55), square_contour(50, 60, 5, 90, 55),
        square_contour(26, 40, 30, 65, 50),
    ])  # fmt: skip
    ctr, cpar = contour_ratios(points[None])
    # lattice rectangles: area by Pick is exact
    assert ctr.tolist() == [25 / 80] and cpar.tolist() == [500 / 3000]


def test_what_both_lungs_cover_counts_once():
    shape = (10, 10)
    left, right = rectangle(shape, 0, 0, 6, 10), rectangle(shape, 4, 0, 10, 10)
    heart = rectangle(shape, 2, 0, 7, 10)
    runs = [parse_runs(rle(m), 100) for m in (heart, left, right)]
    assert mask_ratios(*runs, 10) == (0.5, 0.5)


def test_a_run_over_the_end_of_a_row_is_as_wide_as_the_image():
    shape = (4, 10)
    wide = np.zeros(shape, dtype=bool)
    wide.ravel()[8:13] = True
    heart = rectangle(shape, 3, 1, 5, 3)
    runs = [parse_runs(rle(m), 40) for m in (heart, wide, wide)]
    assert mask_ratios(*runs, 10) == (0.2, 0.8)
    # a run that ends with its row does not
    edge = rectangle(shape, 6, 0, 10, 4)
    runs = [parse_runs(rle(m), 40) for m in (heart, edge, edge)]
    assert mask_ratios(*runs, 10) == (0.5, 0.25)


@given(st.integers(0, 2**32 - 1))
def test_runs_give_what_decoded_masks_give(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(2, 12, 2))
    heart, left, right = rng.random((3, height, width)) < rng.uniform(0.2, 0.9)
    for mask in (heart, left, right):
        mask.ravel()[rng.integers(mask.size)] = True
    runs = [parse_runs(rle(m), height * width) for m in (heart, left, right)]
    ctr, cpar = mask_ratios(*runs, width)
    lungs = left | right
    assert cpar == heart.sum() / lungs.sum()
    extents = [np.ptp(np.flatnonzero(m.any(axis=0))) + 1 for m in (heart, lungs)]
    # random masks have runs that go on in the next row, and those fill the width by definition
    wraps = [any((a % width) + b - a > width for a, b in r)
             for r in (runs[0], np.concatenate(runs[1:]))]  # fmt: skip
    assert ctr == pytest.approx(
        (width if wraps[0] else extents[0]) / (width if wraps[1] else extents[1])
    )
    for mask, wrap in ((heart, wraps[0]), (lungs, wraps[1])):
        if wrap:
            assert np.ptp(np.flatnonzero(mask.any(axis=0))) + 1 == width


def test_ratios_survive_scaling_and_padding():
    rng = np.random.default_rng(0)
    points = np.concatenate([
        square_contour(44, 100, 50, 400, 550), square_contour(50, 600, 50, 900, 550),
        square_contour(26, 400, 300, 650, 500),
    ])  # fmt: skip
    frames = [points * s + t for s, t in rng.uniform((0.5, 0), (3, 99), (5, 2))]
    ctr, cpar = contour_ratios(np.stack(frames))
    assert np.ptp(ctr) < 0.002 and np.ptp(cpar) < 0.002


@pytest.mark.parametrize(
    "cell",
    [b"", b" ", b"1", b"1 2 3", b"x 2", b"0 5", b"5 0", b"-1 5", b"99 3", b"1.5 2", b"nan",
     b"99999999999999999999999 1", b"1 99999999999999999999999", b"9223372036854775807 2"],
)  # fmt: skip
def test_runs_that_are_none(cell):
    assert parse_runs(cell, 100) is None


def test_runs_count_from_one():
    assert parse_runs(b"1 3 100 1", 100).tolist() == [[0, 3], [99, 100]]


def test_both_texts_of_landmarks():
    points = np.arange(240).reshape(-1, 2)
    flat = ",".join(map(str, points.ravel())).encode()
    assert parse_landmarks(flat).tolist() == points.tolist()
    assert parse_landmarks(str(points).encode()).tolist() == points.tolist()
    for bad in (b"", flat + b",1", flat[:-4], flat.replace(b"7", b"x"), flat.replace(b"7", b"nan"),
                flat.replace(b"7", b"1e9"), b"..." + flat):  # fmt: skip
        assert parse_landmarks(bad) is None
