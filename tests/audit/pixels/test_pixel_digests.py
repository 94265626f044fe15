"""Tests that digests find equal pixels in any file format, and similar images without all pairs."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.audit.audit_input import FILES
from imaxray.audit.pixels import PixelDigests


def files(*paths):
    return pl.DataFrame([(p.name, str(p), None, None, None, None) for p in paths], schema=FILES,
                        orient="row")  # fmt: skip


def test_the_digest_is_of_pixels_and_shape(tmp_path, picture):
    picture(tmp_path / "a.png", 1)
    image = Image.open(tmp_path / "a.png")
    image.save(tmp_path / "b.bmp")
    Image.fromarray(np.asarray(image).reshape(64, 48)).save(tmp_path / "c.png")
    paths = [tmp_path / name for name in ("a.png", "b.bmp", "c.png")]
    a, b, c = PixelDigests(files(*paths), perceptual=False, workers=1).table["sha256"]
    assert a == b != c


def test_workers_change_nothing(tmp_path, picture):
    paths = [tmp_path / f"{k:03}.png" for k in range(70)]
    for k, path in enumerate(paths):
        picture(path, k)
    one = PixelDigests(files(*paths), perceptual=True, workers=1).table
    assert one.equals(PixelDigests(files(*paths), perceptual=True, workers=2).table)


def test_copies_are_near_and_others_are_not(tmp_path, open_cxr):
    pytest.importorskip("imagehash")
    originals = sorted((open_cxr / "nih-chestxray14" / "images").glob("*.png"))[:25]
    for path in originals[:3]:
        grey = Image.open(path).convert("L")
        grey.resize((512, 512)).save(tmp_path / f"{path.stem}-half.png")
        grey.save(tmp_path / f"{path.stem}-jpeg.jpg", quality=70)
    pixels = PixelDigests(files(*originals, *tmp_path.iterdir()), perceptual=True, workers=1)
    expected = [(f"{p.stem}-half.png", f"{p.stem}-jpeg.jpg", p.name) for p in originals[:3]]
    assert [(copies.images, set(copies.links.values())) for copies in pixels.near()] == [
        (tuple(sorted(images)), {""}) for images in sorted(expected)
    ]


def test_without_imagehash_the_check_says_so(data, monkeypatch):
    from imaxray.audit import images
    from imaxray.audit.pixels import pixel_digests

    for module in (pixel_digests, images):
        monkeypatch.setattr(module, "can_hash", lambda: False)
    result = data.audit()
    assert result.clean and "imaxray[duplicates]" in result.limits["near-duplicate"]
