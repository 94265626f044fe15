"""Tests that images are opened safely, as 8-bit grey."""

import numpy as np
import pytest
from PIL import Image

from imaxray import radiograph
from imaxray.errors import ImaxrayError


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_eight_bit_is_left_alone(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    path = save(tmp_path / "a.png", pixels)
    assert radiograph.size(path) == (4, 3)
    np.testing.assert_array_equal(radiograph.load(path), pixels)


def test_sixteen_bit_fills_the_grey_range(tmp_path):
    pixels = np.linspace(1000, 5000, 64, dtype=np.uint16).reshape(8, 8)
    grey = radiograph.load(save(tmp_path / "a.png", pixels))
    assert grey.dtype == np.uint8 and grey.min() == 0 and grey.max() == 255


def test_colour_becomes_grey(tmp_path):
    path = save(tmp_path / "a.png", np.full((4, 5, 3), 90, dtype=np.uint8))
    assert radiograph.load(path).shape == (4, 5)


def test_stretch_brightens_a_dark_image(tmp_path):
    dark = np.random.default_rng(0).integers(5, 40, (32, 32)).astype(np.uint8)
    grey = radiograph.load(save(tmp_path / "a.png", dark), stretch=True)
    assert grey.max() > 250 and grey.min() < 5


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated"])
def test_unreadable_images_are_one_sentence(tmp_path, damage):
    path = tmp_path / "a.png"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("no image")
    elif damage == "truncated":
        noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
        save(path, noise)
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ImaxrayError, match="readable image"):
        radiograph.load(path)


def test_a_decompression_bomb_is_refused(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((4, 4), dtype=np.uint8))
    assert radiograph.load(path, max_pixels=16).shape == (4, 4)
    with pytest.raises(ImaxrayError, match="at most"):
        radiograph.load(path, max_pixels=10)


def test_pixels_are_taken_as_they_are():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert radiograph.load(pixels) is pixels
    assert (radiograph.load(pixels, stretch=True).max(), pixels.max()) == (255, 11)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(tmp_path, suffix, orientation):
    """EXIF says how the stored pixels are to be turned: row 0 and column 0, as the standard names
    them (6: row 0 is the right side, column 0 the top)."""
    upright = np.zeros((48, 80), dtype=np.uint8)
    upright[:16, :16], upright[:16, -16:] = 255, 120  # top left bright, top right grey
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif, quality=95)
    assert radiograph.size(path) == (80, 48)
    found = radiograph.load(path)
    assert found.shape == (48, 80)
    assert np.abs(found.astype(int) - upright).max() < 12


def test_a_name_that_no_file_can_have(tmp_path):
    for name in ("a\0.png", "x" * 5000 + ".png"):
        for read in (radiograph.size, radiograph.load):
            with pytest.raises(ImaxrayError, match="readable image"):
                read(tmp_path / name)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
%%EOF
"""


@pytest.mark.parametrize("kind", ["EPS", "AVIF", "GIF", "PPM", "ICO"])
def test_other_formats_are_damaged_files(tmp_path, kind, monkeypatch):
    """Whatever the name says: no decoder outside the list is tried, no program is started."""

    def start(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", start)
    path = tmp_path / "a.jpg"
    if kind == "EPS":
        path.write_bytes(EPS)
    else:
        try:
            Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).save(path, format=kind)
        except (KeyError, OSError):
            pytest.skip(f"this Pillow writes no {kind}")
    for read in (radiograph.size, radiograph.load):
        with pytest.raises(ImaxrayError, match="another format than PNG"):
            read(path)


@pytest.mark.parametrize("kind", radiograph.FORMATS)
def test_formats_that_are_decoded(tmp_path, kind):
    Image.fromarray(np.full((16, 16), 90, dtype=np.uint8)).save(tmp_path / "a", format=kind)
    assert radiograph.size(tmp_path / "a") == (16, 16)
    assert abs(int(radiograph.load(tmp_path / "a").mean()) - 90) < 3


def test_nothing_else_opens_images():
    from pathlib import Path

    source = Path(radiograph.__file__).parent
    found = [p.name for p in source.rglob("*.py") if "Image.open(" in p.read_text()]
    assert found == ["radiograph.py"]
