"""Tests the images that a server gets: their frame, their size and their pixels."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from imaxray.boxes import BOX_2D, PERCENT, PIXELS, UNIT_PADDED
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.pictures import data_url, limited, sent_size


def opened(url):
    return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (300, 200), dtype=np.uint8)


def test_full_size_loses_nothing(pixels, tmp_path):
    assert np.array_equal(opened(data_url(pixels, (200, 300), PERCENT, None)), pixels)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(opened(data_url(tmp_path / "a.png", (200, 300), PERCENT, None)), pixels)


def test_a_cached_copy_becomes_as_large_as_the_original(pixels):
    assert opened(data_url(pixels, (400, 600), PERCENT, None)).size == (400, 600)


def test_a_file_of_another_size_than_its_table_says(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ImaxrayError, match="to have 400 × 600 pixels"):
        data_url(tmp_path / "a.png", (400, 600), PERCENT, None)


@pytest.mark.parametrize("convention", [UNIT_PADDED, BOX_2D])
def test_a_convention_that_pads_gets_a_square(pixels, convention):
    square = np.asarray(opened(data_url(pixels, (200, 300), convention, None)))
    assert square.shape == (300, 300)
    assert np.array_equal(square[:, 50:250], pixels)
    assert not square[:, :50].any() and not square[:, 250:].any()
    small = opened(data_url(pixels, (200, 300), convention, 100 * 100))
    assert small.size == (100, 100)


@pytest.mark.parametrize("most", [None, 300_000, 50_000])
@pytest.mark.parametrize("size", [(2544, 3056), (224, 224), (30, 700), (2021, 2021)])
def test_pixel_boxes_refer_to_the_image_that_is_sent(size, most):
    convention = limited(PIXELS, most)
    width, height = sent_size(size, convention, most)
    assert width % 28 == height % 28 == 0
    assert most is None or width * height <= most
    box = (size[0] * 0.25, size[1] * 0.5, size[0] * 0.75, size[1] * 1.0)
    numbers = eval(convention.render(box, *size))
    assert numbers == pytest.approx([width * 0.25, height * 0.5, width * 0.75, height], abs=0.51)
    # the server's own resize leaves what is sent as it is
    assert PIXELS.geometry.resized(width, height) == (width, height)


@pytest.mark.parametrize("size", [(1, 100_000), (3000, 2000), (7, 7)])
@pytest.mark.parametrize("convention", [PERCENT, UNIT_PADDED])
def test_no_more_pixels_than_allowed(size, convention):
    width, height = sent_size(size, convention, 10_000)
    assert width >= 1 and height >= 1
    area = width * height if convention is PERCENT else max(width, height) ** 2
    assert area <= 10_000
    if size == (7, 7):
        assert (width, height) == size


def test_limits_that_no_frame_can_hold():
    with pytest.raises(ImaxrayError, match="at least 3136 for --max-pixels"):
        limited(PIXELS, 1000)
    with pytest.raises(ImaxrayError, match="too narrow"):
        sent_size((10, 3000), PIXELS, None)
