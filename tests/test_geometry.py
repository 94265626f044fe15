"""Tests frames: their arithmetic is that of the processors, and they can be inverted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from imaxray.geometry import (
    WHOLE,
    Letterbox,
    SmartResize,
    TileCanvas,
    geometry_as_dict,
    geometry_from_dict,
)

side = st.integers(30, 4000)
GEOMETRIES = [
    WHOLE,
    Letterbox(),
    SmartResize(),
    SmartResize(32, 64 * 64, 32 * 32 * 1024),
    TileCanvas(),
    TileCanvas(448, 2, 6),
]


@settings(deadline=None)
@given(side, side, st.sampled_from([28, 32]), st.integers(4, 60), st.integers(60, 16384))
def test_smart_resize_is_the_processors(width, height, factor, least, most):
    pixels = (least * factor**2, most * factor**2)
    wide, high = SmartResize(factor, *pixels).resized(width, height)
    assert (high, wide) == smart_resize(height, width, factor, *pixels)


def test_smart_resize_refuses_what_the_processor_refuses():
    with pytest.raises(ValueError, match="too narrow"):
        SmartResize().resized(10, 2001)


@settings(deadline=None)
@given(side, side, st.sampled_from([(1, 12), (1, 6), (2, 6), (1, 1)]))
def test_tiles_are_the_processors(width, height, tiles):
    processor = GotOcr2ImageProcessorPil(
        size={"height": 448, "width": 448}, min_patches=tiles[0], max_patches=tiles[1],
        crop_to_patches=True,
    )  # fmt: skip
    expected = processor.get_number_of_image_patches(height, width)
    assert TileCanvas(448, *tiles).tiles(width, height) == expected


@settings(deadline=None)
@given(side, side)
def test_letterbox_is_the_padding_of_the_processors(width, height):
    small = (max(1, width // 40), max(1, height // 40))
    image = np.ones((3, small[1], small[0]), dtype=np.uint8)
    padded = LlavaImageProcessorPil().pad_to_square(image)[0]
    rows, columns = np.flatnonzero(padded.any(1)), np.flatnonzero(padded.any(0))
    frame = Letterbox().frame(*small)
    assert padded.shape == (frame.height, frame.width)
    box = frame.enter((0, 0, *small))
    assert box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@settings(max_examples=30, deadline=None)
@given(width=side, height=side, corners=st.tuples(*[st.floats(0, 1)] * 4))
def test_what_enters_a_frame_leaves_it_where_it_was(geometry, width, height, corners):
    frame = geometry.frame(width, height)
    box = (corners[0] * width, corners[1] * height, corners[2] * width, corners[3] * height)
    inside = frame.enter(box)
    assert all(
        -1e-6 <= v <= s + 1e-6 for v, s in zip(inside, (frame.width, frame.height) * 2, strict=True)
    )
    assert frame.leave(inside) == pytest.approx(box, abs=1e-6)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_plain_values_and_back(geometry):
    assert geometry_from_dict(geometry_as_dict(geometry)) == geometry
