"""Tests that a cache holds every image of its dataset, either as an image or as a reject."""

import json
import pickle
import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from imaxray import radiograph
from imaxray.cache import ImageCache, cache_images
from imaxray.cache.shard import shrink
from imaxray.cli import app
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS

from .conftest import content, make_dataset, picture, write_images


def test_every_image_is_the_loaded_one_resized(dataset, tmp_path):
    report = cache_images(dataset, tmp_path / "cache", max_side=140, shard_images=3, workers=1)
    assert (report.images, report.rejects.height, report.shards) == (10, 0, 4)
    cache = ImageCache.open(report.folder, dataset)
    assert len(cache) == 10 and cache.verify() == [] and cache.max_side == 140
    for image_id, width, height in dataset.tables.images.select(
        "image_id", "width", "height"
    ).iter_rows():
        original = radiograph.load(dataset.image_path(image_id))
        small, scale = shrink(original, 140)
        np.testing.assert_array_equal(cache.load(image_id), np.asarray(small))
        image = cache.get(image_id)
        assert (image.width, image.height, image.scale) == (width, height, scale)
        assert (image.cached_width, image.cached_height) == small.size
        assert image_id in cache
    assert {cache.get(i).scale == 1.0 for i in dataset.tables.images["image_id"]} == {True, False}


def test_membership_follows_sorted_ids(dataset, tmp_path):
    out = cache_images(dataset, tmp_path / "cache", shard_images=4, workers=1).folder
    index = pl.read_parquet(out / "index.parquet")
    assert index["image_id"].to_list() == sorted(dataset.tables.images["image_id"])
    assert index["shard"].to_list() == [0] * 4 + [1] * 4 + [2] * 2
    assert index["shard_row"].to_list() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_the_same_bytes_again_and_with_two_processes(dataset, tmp_path):
    for name, workers in (("a", 1), ("b", 1), ("c", 2)):
        cache_images(dataset, tmp_path / name, max_side=80, shard_images=3, workers=workers)
    assert content(tmp_path / "a") == content(tmp_path / "b") == content(tmp_path / "c")


def test_the_manifest_tells_every_file_and_no_place(dataset, tmp_path):
    out = cache_images(dataset, tmp_path / "cache", shard_images=4, workers=1).folder
    manifest = json.loads((out / "manifest.json").read_text())
    found = content(out)
    of_content = {k: v for k, v in found.items() if k == "plan.json" or not k.endswith(".json")}
    assert manifest["files"] == of_content
    assert str(tmp_path) not in "".join(p.read_text() for p in out.glob("*.json"))


def broken(tmp_path):
    """Ten good images and one of each kind of broken one."""
    rows = write_images(tmp_path)
    root = tmp_path / "release"
    noise = np.random.default_rng(0).integers(0, 256, (90, 90)).astype(np.uint8)
    for name in ("cut.png", "cut.jpg", "cut.bmp"):
        Image.fromarray(noise).save(root / name)
        whole = (root / name).read_bytes()
        (root / name).write_bytes(whole[: len(whole) // 2])
    (root / "empty.png").write_bytes(b"")
    (root / "text.jpg").write_text("no image")
    Image.fromarray(noise).save(root / "other.png")
    (tmp_path / "outside.png").write_bytes((root / "other.png").read_bytes())
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    expected = {
        "c/b1": ("cut.png", "unreadable-image"),
        "c/b2": ("cut.jpg", "unreadable-image"),
        "c/b3": ("cut.bmp", "unreadable-image"),
        "c/b4": ("empty.png", "unreadable-image"),
        "c/b5": ("text.jpg", "unreadable-image"),
        "c/b6": ("gone.png", "missing-image"),
        "c/b7": ("../outside.png", "path-outside-release"),
        "c/b8": ("other.png", "size-mismatch"),
        "c/b9": ("link.png", "path-outside-release"),
    }
    for image_id, (path, code) in expected.items():
        side = 91 if code == "size-mismatch" else 90
        rows.append({"image_id": image_id, "path": path, "width": side, "height": 90})
    return make_dataset(tmp_path, rows), {i: code for i, (_, code) in expected.items()}


def test_a_broken_image_is_a_reject_with_a_code(tmp_path):
    dataset, codes = broken(tmp_path)
    report = cache_images(dataset, max_side=64, shard_images=5, workers=1)
    assert report.images + report.rejects.height == dataset.tables.images.height
    assert report.rejects.schema == REJECTS
    assert dict(report.rejects.select("key", pl.col("code").cast(pl.String)).iter_rows()) == codes
    # the reject finds its row again
    rows = dataset.tables.images.select(pl.col("image_id").alias("key"), "file", "row")
    joined = report.rejects.join(rows, on="key")
    assert (joined["row"] == joined["row_right"]).all()
    cache = ImageCache.open(report.folder, dataset)
    assert "c/b1" not in cache and cache.get("c/b1") is None and "c/01" in cache
    with pytest.raises(ImaxrayError, match="unreadable-image"):
        cache.load("c/b1")
    with pytest.raises(ImaxrayError, match="not there"):
        cache.load("c/unknown")


def test_damage_anywhere_is_a_reject_or_a_picture(tmp_path):
    """Bytes turned at random in real files: no traceback, whatever Pillow meets."""
    (tmp_path / "release").mkdir()
    random = np.random.default_rng(7)
    rows = []
    for k in range(240):
        name = f"{k}.{('png', 'jpg', 'tif', 'bmp')[k % 4]}"
        path = tmp_path / "release" / name
        Image.fromarray(picture(k, 40, 30)).save(path)
        raw = bytearray(path.read_bytes())
        # headers are where readers break
        for place in random.integers(0, min(len(raw), 300), 1 + k % 5):
            raw[place] = random.integers(0, 256)
        path.write_bytes(raw)
        rows.append({"image_id": f"c/{k:03d}", "path": name, "width": 40, "height": 30})
    report = cache_images(make_dataset(tmp_path, rows), workers=1)
    assert report.images + report.rejects.height == 240
    assert report.rejects.height > 40


def test_sixteen_bits_and_orientation_go_through_the_one_loader(tmp_path):
    (tmp_path / "release").mkdir()
    wide = np.linspace(500, 9000, 50 * 40).reshape(50, 40).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "release" / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(0, 70, 30)).save(tmp_path / "release" / "turned.jpg", exif=exif)
    dataset = make_dataset(
        tmp_path,
        [
            {"image_id": "c/wide", "path": "wide.png", "width": 40, "height": 50},
            {"image_id": "c/turned", "path": "turned.jpg", "width": 30, "height": 70},
        ],
    )
    cache = ImageCache.open(cache_images(dataset, workers=1).folder)
    pixels = cache.load("c/wide")
    assert pixels.dtype == np.uint8 and (pixels.min(), pixels.max()) == (0, 255)
    assert cache.load("c/turned").shape == (70, 30)


def test_an_open_cache_can_go_to_another_process(dataset, tmp_path):
    cache = ImageCache.open(cache_images(dataset, workers=1).folder)
    first = cache.load("c/03")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cache)).load("c/03"), first)


def test_a_damaged_shard_is_named_and_made_again(dataset, tmp_path):
    out = cache_images(dataset, shard_images=4, workers=1).folder
    whole = content(out)
    shard = out / "shards" / "000001.arrow"
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 255
    shard.write_bytes(raw)
    assert ImageCache.open(out).verify() == ["shards/000001.arrow"]
    with pytest.raises(ImaxrayError, match=r"shards/000001\.arrow .* missing or damaged"):
        ImageCache.open(out).load("c/05")
    shard.unlink()
    with pytest.raises(ImaxrayError, match="missing or damaged"):
        ImageCache.open(out).load("c/05")
    report = cache_images(dataset, shard_images=4, workers=1)
    assert report.kept_shards == 2
    assert content(out) == whole


@pytest.mark.parametrize("name", ["index.parquet", "rejects.parquet"])
def test_a_damaged_table_is_named(dataset, name):
    out = cache_images(dataset, workers=1).folder
    raw = bytearray((out / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (out / name).write_bytes(raw)
    with pytest.raises(ImaxrayError, match=f"{name} .* missing or damaged"):
        ImageCache.open(out)


def test_a_finished_cache_is_not_made_again(dataset, monkeypatch):
    out = cache_images(dataset, shard_images=4, workers=1).folder
    before = {path: path.stat().st_mtime_ns for path in out.rglob("[!.]*")}
    report = cache_images(dataset, shard_images=4, workers=1)
    assert (report.kept_shards, report.workers, report.images) == (3, 0, 10)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("[!.]*") if path != out} == before


def test_a_damaged_shard_is_made_again_and_never_recorded(dataset):
    out = cache_images(dataset, shard_images=4, workers=1).folder
    whole = content(out)
    shard = out / "shards" / "000001.arrow"
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 255
    shard.write_bytes(raw)
    assert cache_images(dataset, shard_images=4, workers=1).kept_shards == 2
    assert content(out) == whole


@pytest.mark.parametrize("name", [".imaxray.json", "plan.json"])
def test_a_kill_or_a_full_disk_at_the_start_is_no_refusal(dataset, tmp_path, monkeypatch, name):
    from imaxray._common import files as _files

    flush = _files.flush

    def full(path):
        if path.name.startswith(f".{name}."):
            path.with_name(f".{name}.{0:032x}.part").write_text("{")  # what a kill leaves
            raise OSError(28, "No space left on device")
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(_files, "flush", full)
        with pytest.raises(ImaxrayError, match="No space left"):
            cache_images(dataset, tmp_path / "cache", workers=1)
    report = cache_images(dataset, tmp_path / "cache", workers=1)
    assert report.images == 10 and not list(report.folder.rglob("*.part"))


def test_an_empty_data_set_gives_an_empty_cache(dataset, tmp_path):
    none = make_dataset(
        tmp_path / "none", [{"image_id": "c/1", "path": "a", "width": 1, "height": 1}]
    )
    empty = type(none)(
        none.folder,
        type(none.tables)(none.tables.images.head(0), none.tables.annotations, none.tables.entries),
        none.manifest,
    )
    report = cache_images(empty, tmp_path / "cache", workers=1)
    assert (report.images, report.shards) == (0, 0)
    assert len(ImageCache.open(report.folder, empty)) == 0


@pytest.mark.parametrize(
    "change", ["max_side", "shard_images", "other images", "other release", "damaged plan"]
)
def test_a_stale_cache_is_one_sentence(dataset, tmp_path, change):
    out = cache_images(dataset, tmp_path / "cache", max_side=64, workers=1).folder
    before = content(out)
    options = {"max_side": 64, "workers": 1}
    rows = dataset.tables.images.select("image_id", "path", "width", "height").to_dicts()
    said = "it was made with max_side 64 and 64 images per shard"
    if change in ("max_side", "shard_images"):
        options[change] = 32
    elif change == "other images":
        dataset, said = make_dataset(tmp_path, rows[1:]), "it was made of other images"
    elif change == "other release":
        dataset = make_dataset(tmp_path, rows, tables_sha="bb")
        said = "the releases have changed since it was made"
    else:
        (out / "plan.json").write_text("{")
        before["plan.json"] = content(out)["plan.json"]
        said = "its plan is damaged"
    with pytest.raises(ImaxrayError, match=said) as caught:
        cache_images(dataset, out, **options)
    assert str(caught.value).count(". ") == 0 and "--out" in str(caught.value)
    assert content(out) == before


def test_other_files_are_left_alone(dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ImaxrayError, match="other files"):
        cache_images(dataset, tmp_path / "mine")
    with pytest.raises(ImaxrayError, match="at least 1"):
        cache_images(dataset, tmp_path / "cache", max_side=0)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_an_unfinished_cache_is_not_opened(dataset, tmp_path):
    out = cache_images(dataset, tmp_path / "cache", workers=1).folder
    (out / "manifest.json").unlink()
    with pytest.raises(ImaxrayError, match="finished image cache"):
        ImageCache.open(out)


def test_the_command_line(tmp_path):
    dataset, codes = broken(tmp_path)
    result = CliRunner().invoke(
        app, ["cache", str(dataset.folder), "--max-side", "64", "--workers", "1"]
    )
    assert result.exit_code == 0, result.output
    assert f"10 images and {len(codes)} rejects" in result.stdout
    assert "size-mismatch" in result.stdout
    assert (tmp_path / "image-cache" / "manifest.json").is_file()
    assert len(ImageCache.open(tmp_path / "image-cache", open_dataset(tmp_path / "data"))) == 10


def test_a_release_that_vanishes_is_no_pile_of_rejects(dataset, tmp_path):
    [root] = dataset.tables.roots.values()
    hidden = root.with_name("elsewhere")
    root.rename(hidden)
    with pytest.raises(ImaxrayError, match=f"release at {root} .* not there"):
        cache_images(dataset, workers=1)
    hidden.rename(root)
    report = cache_images(dataset, workers=1)
    assert (report.images, report.rejects.height) == (10, 0)


def test_a_shard_of_an_unfinished_cache_that_was_changed_is_made_again(dataset, monkeypatch):
    whole = content(cache_images(dataset, shard_images=4, workers=1).folder)
    out = dataset.folder.parent / "image-cache"
    shutil.rmtree(out)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("imaxray.cache.writer._close", killed)
        with pytest.raises(KeyboardInterrupt):
            cache_images(dataset, shard_images=4, workers=1)
    shard = out / "shards" / "000001.arrow"
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(raw)
    assert cache_images(dataset, shard_images=4, workers=1).kept_shards == 2
    assert content(out) == whole
