"""Tests boxes and ratios from a folder of masks."""

import numpy as np
import pytest
from PIL import Image

from imaxray.derive import DeriveConfig, derive_dataset
from imaxray.derive.facts.masks import from_masks
from imaxray.errors import ImaxrayError


def write(folder, organ, box, size=(100, 100)):
    mask = np.zeros(size[::-1], dtype=np.uint8)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = 255
    path = folder / organ / "film.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def test_masks_give_boxes_in_pixels_of_the_image_and_ratios(tmp_path):
    write(tmp_path, "heart", (30, 50, 70, 90))
    write(tmp_path, "right_lung", (10, 10, 40, 90))
    write(tmp_path, "left_lung", (60, 10, 90, 90))
    organs, ratios = from_masks(tmp_path, "files/film.jpg", (200, 400))
    assert organs["heart"] == (60.0, 200.0, 140.0, 360.0)
    assert set(organs) == {"heart", "left lung", "right lung"}
    assert ratios == {"ctr": 0.5, "cpar": pytest.approx(40 * 40 / (2 * 30 * 80))}


def test_a_missing_or_empty_mask_gives_no_ratio(tmp_path):
    write(tmp_path, "heart", (30, 50, 70, 90))
    write(tmp_path, "left_lung", (0, 0, 0, 0))
    organs, ratios = from_masks(tmp_path, "film.png", (100, 100))
    assert set(organs) == {"heart"} and ratios == {}
    assert from_masks(tmp_path, "other.png", (100, 100)) == ({}, {})


def test_a_folder_without_masks_is_refused(dmax, tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(ImaxrayError, match="Expected a folder heart, left_lung or right_lung"):
        derive_dataset(dmax.folder, tmp_path / "x", DeriveConfig(masks=tmp_path / "masks"))
