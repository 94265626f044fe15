"""Tests that training and evaluation read cached images if they exist, and files otherwise."""

from pathlib import Path

import numpy as np
import pytest

from imaxray import radiograph
from imaxray.cache import ImageCache, ImageStore, cache_images, default_folder
from imaxray.errors import ImaxrayError

from .conftest import make_dataset, write_images


def rows_of(dataset):
    return dataset.tables.images.select("image_id", "path", "width", "height").to_dicts()


def test_without_a_cache_it_is_the_file(dataset):
    store = ImageStore(dataset)
    assert store.cache is None and store.describe() is None
    assert store("c/01") == dataset.image_path("c/01")


def test_with_a_cache_it_is_its_pixels(dataset):
    cache_images(dataset, max_side=70, workers=1)
    store = ImageStore(dataset)
    assert store.describe()["max_side"] == 70
    for image_id in dataset.tables.images["image_id"]:
        cached = radiograph.load(store(image_id))
        assert max(cached.shape) <= 70
        np.testing.assert_array_equal(cached, store.cache.load(image_id))
    Path(dataset.image_path("c/01")).unlink()  # the originals may be elsewhere by now
    assert radiograph.load(store("c/01")).size


def test_the_catalogs_cache_serves_a_selection_of_it(dataset, tmp_path):
    cache_images(dataset, workers=1)
    chosen = make_dataset(tmp_path, rows_of(dataset)[::3])
    store = ImageStore(chosen)
    assert store.cache is not None and len(store.cache) == 10


@pytest.mark.parametrize("change", ["new image", "other size", "older release", "unfinished"])
def test_a_cache_that_does_not_fit_is_one_sentence(dataset, tmp_path, change):
    out = cache_images(dataset, workers=1).folder
    rows, sha = rows_of(dataset), "aa"
    if change == "new image":
        rows.append({"image_id": "c/99", "path": "a.png", "width": 9, "height": 9})
    elif change == "other size":
        rows[0]["width"] += 1
    elif change == "older release":
        sha = "bb"
    else:
        (out / "manifest.json").unlink()
    dataset = make_dataset(tmp_path, rows, tables_sha=sha)
    with pytest.raises(ImaxrayError, match="imaxray cache") as caught:
        ImageStore(dataset)
    assert str(caught.value).count(". ") == 0


def test_a_neighbours_cache_is_left_alone_unless_named(dataset, tmp_path):
    out = cache_images(dataset, workers=1).folder
    other = make_dataset(
        tmp_path, [{"image_id": "d/1", "path": "00.png", "width": 60, "height": 150}]
    )
    assert default_folder(other) == out
    assert ImageStore(other).cache is None
    with pytest.raises(ImaxrayError, match="lacks 1 of its images"):
        ImageStore(other, out)


def test_a_reject_stops_who_asks_for_it(tmp_path):
    rows = write_images(tmp_path, 4)
    (tmp_path / "release" / rows[0]["path"]).write_bytes(b"broken")
    dataset = make_dataset(tmp_path, rows)
    cache_images(dataset, workers=1)
    with pytest.raises(ImaxrayError, match="unreadable-image"):
        ImageStore(dataset)(rows[0]["image_id"])
    with pytest.raises(ImaxrayError, match="not there"):
        ImageStore(dataset)("c/unknown")


def test_a_model_gets_the_same_inputs_where_nothing_was_shrunk(phantom_releases, tmp_path):
    pytest.importorskip("torch")
    from imaxray.curation import build_catalog, open_dataset, write_dataset
    from imaxray.models import phantom
    from imaxray.training import prepare_images

    tables = build_catalog({"mimic-cxr-jpg": phantom_releases["mimic-cxr-jpg"]})
    write_dataset(tables, tmp_path / "data", config={}, seed=0)
    data = open_dataset(tmp_path / "data")
    chat = phantom.build(phantom.PhantomConfig(image_size=32), ["a b"], seed=0)
    ids = data.tables.images["image_id"][:6].to_list()
    from_files = prepare_images(chat, ids, ImageStore(data))
    cache_images(data, max_side=4000, workers=1)
    store = ImageStore(data)
    assert isinstance(store.cache, ImageCache)
    from_cache = prepare_images(chat, ids, store)
    for image_id in ids:
        np.testing.assert_array_equal(
            from_files[image_id]["pixel_values"], from_cache[image_id]["pixel_values"]
        )
