"""Tests that the forecast of a release is what a build of it uses."""

import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import build_catalog, forecast_use
from imaxray.phantom import write_phantom
from imaxray.sources import get_source
from sources.releases import chexpert, nih_chestxray14, open_i, rsna_pneumonia, vindr_cxr, vqa_rad

RELEASES = [
    ("chexpert", chexpert.write), ("chexpert", chexpert.write_batches),
    ("chexpert", chexpert.write_test_studies), ("nih-chestxray14", nih_chestxray14.write),
    ("open-i", open_i.write_nlm), ("open-i", open_i.write_unpacked),
    ("rsna-pneumonia", rsna_pneumonia.write), ("vindr-cxr", vindr_cxr.write_kaggle_meta),
    ("vqa-rad", vqa_rad.write_public),
]  # fmt: skip


def forecast(name, root):
    return forecast_use(get_source(name).read(root), name, root)


@pytest.mark.parametrize(("name", "write"), RELEASES)
def test_the_images_that_carry_annotations_are_those_of_the_build(name, write, tmp_path):
    write(tmp_path)
    expected, catalog = forecast(name, tmp_path), build_catalog({name: tmp_path})
    assert expected.images == catalog.images.height
    assert expected.carriers == catalog.annotations["image_id"].n_unique()
    lost = catalog.rejects.filter(
        pl.col("code").is_in(["no-frontal-image", "unknown-study", "unknown-image"])
    )
    rows = {code: count for code, count in expected.lost.items() if count}
    assert set(rows) == set(lost["code"])
    assert expected.placed == expected.annotations - sum(rows.values())


def test_without_views_the_forecast_says_what_is_lost(tmp_path):
    open_i.write_unpacked(tmp_path)
    said = forecast("open-i", tmp_path).sentences()
    assert said == [
        "Images in this copy: 5; missing images, which the tables name: 0.",
        "A build of this release alone can use 3 of 11 annotations, on 1 of 5 images.",
        "Annotations that reach no image: 8 (no-frontal-image 4, unknown-study 4).",
        "Images without a known view, which get no facts of their study: 4.",
    ]
    (remark,) = get_source("open-i").remarks(tmp_path)
    assert "put the table beside the reports" in remark
    open_i.projections(tmp_path)
    whole = forecast("open-i", tmp_path)
    assert (whole.placed, whole.carriers, whole.no_view) == (7, 3, 0)
    assert get_source("open-i").remarks(tmp_path) == []


def test_missing_images_are_counted_once(tmp_path):
    rsna_pneumonia.write(tmp_path)
    (tmp_path / "stage_2_train_images" / f"{rsna_pneumonia.ONE}.dcm").unlink()
    # two rows of each of two tables name the image
    expected = forecast("rsna-pneumonia", tmp_path)
    assert (expected.images, expected.missing) == (2, 1)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantom") / "releases"
    write_phantom(root, images=20, seed=3)
    return root


def test_a_release_whose_tables_state_the_images_misses_files(phantom, tmp_path):
    root = shutil.copytree(phantom / "mimic-cxr-jpg", tmp_path / "jpg")
    paths = sorted(root.rglob("*.jpg"))
    whole = forecast("mimic-cxr-jpg", root)
    assert (whole.images, whole.missing, whole.other_size) == (len(paths), 0, 0)
    for path in paths[:3]:
        path.unlink()
    expected = forecast("mimic-cxr-jpg", root)
    assert (expected.images, expected.missing) == (len(paths) - 3, 3)


def test_a_resized_copy_of_such_a_release_is_named(phantom, tmp_path):
    root = shutil.copytree(phantom / "mimic-cxr-jpg", tmp_path / "jpg")
    noise = np.random.default_rng(0).integers(0, 255, (7, 9)).astype(np.uint8)
    paths = sorted(root.rglob("*.jpg"))
    for path in paths:
        Image.fromarray(noise).save(path)
    expected = forecast("mimic-cxr-jpg", root)
    assert expected.looked_at == expected.other_size == len(paths)
    assert expected.sentences()[-1] == (
        f"Of {len(paths)} images that were looked at, {len(paths)} have another size than the "
        "table states; a build rejects such images (size-mismatch)."
    )
    catalog = build_catalog({"mimic-cxr-jpg": root})
    assert catalog.images.is_empty() and "size-mismatch" in set(catalog.rejects["code"])


def test_a_release_about_the_images_of_another_one_says_so(phantom):
    (said,) = forecast("ms-cxr", phantom / "ms-cxr").sentences()
    assert said.startswith("Images: none, because the release is about the images of another one")
