"""Tests the pixels of cached images: resized once by area, never enlarged, stored lossless."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imaxray.cache.shard import encode, shrink


def area_average(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Exact area average in float64: each output pixel is the mean of what it covers."""

    def weights(small: int, large: int) -> np.ndarray:
        edges = np.linspace(0, large, small + 1)
        low, high = edges[:-1, None], edges[1:, None]
        k = np.arange(large)[None, :]
        covered = np.clip(np.minimum(high, k + 1) - np.maximum(low, k), 0, None)
        return covered / covered.sum(axis=1, keepdims=True)

    return weights(height, pixels.shape[0]) @ pixels.astype(np.float64) @ weights(
        width, pixels.shape[1]
    ).T  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400), st.integers(1, 400), st.integers(1, 300), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_sides_and_scale(width, height, max_side, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    small, scale = shrink(pixels, max_side)
    assert small.mode == "L"
    if max(width, height) <= max_side:
        assert scale == 1.0
        np.testing.assert_array_equal(np.asarray(small), pixels)
        return
    assert max(small.size) == max_side and scale == max_side / max(width, height)
    # sides keep their proportion to half a pixel, and never vanish
    assert abs(small.width - width * scale) <= 0.5 or small.width == 1
    assert abs(small.height - height * scale) <= 0.5 or small.height == 1


@pytest.mark.parametrize("scale", [0.31, 0.4, 0.5, 0.77])
def test_smooth_content_is_its_area_average(scale):
    y, x = np.mgrid[0:300, 0:240]
    pixels = (127 + 90 * np.sin(x / 25.0) * np.cos(y / 33.0)).round().astype(np.uint8)
    small, _ = shrink(pixels, round(300 * scale))
    exact = area_average(pixels, *small.size)
    assert np.abs(np.asarray(small) - exact).max() < 2.0


def test_lines_finer_than_a_pixel_vanish_at_least_as_an_area_average_lets_them():
    ours, exact, nearest = [], [], []
    for period in np.linspace(2.1, 3.3, 25):  # an output pixel is 3.33 wide
        line = np.round(127.5 + 127 * np.sin(2 * np.pi * np.arange(1000) / period + 0.3))
        pixels = np.ascontiguousarray(np.broadcast_to(line.astype(np.uint8), (20, 1000)))
        small, _ = shrink(pixels, 300)
        ours.append(np.asarray(small)[3, 3:-3].std())
        exact.append(area_average(pixels, *small.size)[3, 3:-3].std())
        nearest.append(
            np.asarray(Image.fromarray(pixels).resize(small.size, Image.Resampling.NEAREST))[
                3
            ].std()
        )
    assert min(nearest) > 60  # what aliasing looks like
    assert np.mean(ours) < np.mean(exact)
    assert max(ours) < max(exact)


def test_no_seams_at_a_scale_that_divides_no_side():
    """A ramp stays a ramp: steps between neighbours are even (a box filter's are not)."""
    ramp = np.broadcast_to(np.linspace(0, 255, 2544), (300, 2544)).round().astype(np.uint8)
    small = np.asarray(shrink(np.ascontiguousarray(ramp), 853)[0])[50].astype(float)
    exact = area_average(ramp, 853, 101)[50]
    assert np.abs(small - exact)[2:-2].max() <= 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_encoding_loses_nothing(width, height, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    with Image.open(io.BytesIO(encode(Image.fromarray(pixels)))) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(image), pixels)
