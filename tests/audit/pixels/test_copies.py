"""Tests that turned, inverted and cropped copies of real radiographs are found, and only these."""

import io
import json
from functools import cache

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageOps

from imaxray import radiograph
from imaxray.audit import audit_dataset
from imaxray.audit.audit_input import FILES
from imaxray.audit.pixels import PixelDigests
from imaxray.audit.pixels.cropped_copies import SIDE, cropped_pairs, thumbnail
from imaxray.perceptual import TURNS, near_turned_pairs, perceptual_hash, turned_hashes

pytest.importorskip("imagehash")

Turn = Image.Transpose
WAYS = {
    "mirrored left to right": [Turn.FLIP_LEFT_RIGHT],
    "mirrored top to bottom": [Turn.FLIP_TOP_BOTTOM],
    "turned by 180 degrees": [Turn.ROTATE_180],
    "turned by 90 degrees": [Turn.ROTATE_90, Turn.ROTATE_270],
    "turned by 90 degrees and mirrored": [Turn.TRANSPOSE, Turn.TRANSVERSE],
}
WAYS_AND_INVERTED = {
    **{name: [(turn, False) for turn in turns] for name, turns in WAYS.items()},
    "inverted": [(None, True)],
    **{f"inverted and {name}": [(turn, True) for turn in turns] for name, turns in WAYS.items()},
}


def changed(image, turn, inverted):
    image = image if turn is None else image.transpose(turn)
    return ImageOps.invert(image) if inverted else image


def cut(image, left, top, right, bottom):
    """Cut off a share at each side."""
    wide, high = image.size
    return image.crop((int(wide * left), int(high * top), int(wide * (1 - right)),
                       int(high * (1 - bottom))))  # fmt: skip


@cache
def radiographs(folder):
    """All open chest radiographs: NIH, Wingspan, and those of VQA-RAD whose organ is the chest."""
    questions = [
        record
        for name in ("trainset.json", "testset.json")
        for record in json.loads((folder / "vqa-rad" / name).read_text())
    ]
    chests = {q["image_name"] for q in questions if q["image_organ"] == "CHEST"}
    paths = [
        *(folder / "nih-chestxray14" / "images").glob("*.png"),
        *(folder / "wingspan-ctr" / "wingspan" / "png").glob("*.png"),
        *(folder / "vqa-rad" / "images" / name for name in chests),
    ]
    return sorted(paths)


def smooth(seed, shape=(96, 80)):
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    return Image.fromarray(coarse).resize(shape, Image.Resampling.BICUBIC)


def hashed(image):
    return np.frombuffer(perceptual_hash(np.asarray(image)), dtype=np.uint8)


def test_hashes_of_turned_copies_are_those_that_they_would_have():
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)
    image = Image.fromarray(noise).resize((320, 256), Image.Resampling.BICUBIC)
    given = np.frombuffer(turned_hashes(np.asarray(image)), np.uint8).reshape(len(TURNS), -1)
    for name, ways in WAYS_AND_INVERTED.items():
        mine = given[[number for number, turn in enumerate(TURNS) if turn == name]]
        for turn, inverted in ways:
            bits = np.bitwise_count(mine ^ hashed(changed(image, turn, inverted))).sum(-1)
            assert min(bits) <= 4, (name, turn)  # a copy is rounded to 8 bits
    assert {*TURNS} == {*WAYS_AND_INVERTED}


def test_pairs_of_turned_copies_are_those_of_comparing_all():
    random = np.random.default_rng(0)
    hashes = random.integers(0, 256, (12, 32), dtype=np.uint8)
    turned = random.integers(0, 256, (12, 15, 32), dtype=np.uint8)
    for bits, (one, other, turn) in enumerate([(0, 5, 3), (2, 9, 14), (4, 7, 0), (3, 8, 1)]):
        flat = np.unpackbits(hashes[one])
        flat[random.permutation(256)[: bits * 6]] ^= 1  # the last one is 18 bits off
        turned[other, turn] = np.packbits(flat)
    assert near_turned_pairs(hashes, turned).tolist() == [[0, 5, 3], [2, 9, 14], [4, 7, 0]]
    blocks = near_turned_pairs(hashes, turned, block=2)
    assert blocks.tolist() == near_turned_pairs(hashes, turned).tolist()


@pytest.mark.parametrize("margins", [(0.05,) * 4, (0.1, 0, 0, 0), (0, 0.08, 0.02, 0.1)])
def test_a_crop_is_found_and_its_whole_is_named(margins):
    images = [smooth(seed, (512, 480)) for seed in range(6)]
    crops = [cut(images[2], *margins)]
    thumbnails = np.stack([thumbnail(np.asarray(image)) for image in [*images, *crops]])
    assert thumbnails.shape == (7, SIDE, SIDE)
    assert (6, 2) in cropped_pairs(thumbnails)
    assert {frozenset(pair) for pair in cropped_pairs(thumbnails)} == {frozenset((2, 6))}


@pytest.mark.parametrize("border", [0, 255])
@pytest.mark.parametrize("size", [(700, 500), (500, 700), (900, 900)])
def test_a_padded_copy_is_found(border, size):
    images = [smooth(seed, (480, 512)) for seed in range(4)]
    padded = ImageOps.pad(images[1], size, color=border)
    stream = io.BytesIO()
    padded.save(stream, "JPEG", quality=85)  # its borders are not of exactly one value
    with Image.open(stream) as copy:
        thumbnails = np.stack([thumbnail(np.asarray(image)) for image in [*images, copy]])
    found = {frozenset(pair) for pair in cropped_pairs(thumbnails)}
    assert found == {frozenset((1, 4))}


def test_a_copy_with_a_letter_burnt_in_is_found():
    images = [smooth(seed, (480, 512)) for seed in range(4)]
    copy = images[1].copy()
    ImageDraw.Draw(copy).rectangle((30, 30, 54, 56), fill=255)
    thumbnails = np.stack([thumbnail(np.asarray(image)) for image in [*images, copy]])
    assert {frozenset(pair) for pair in cropped_pairs(thumbnails)} == {frozenset((1, 4))}


def test_few_images_have_no_crops():
    one = thumbnail(np.asarray(smooth(0)))[None]
    assert cropped_pairs(one) == cropped_pairs(one[:0]) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_an_image_without_contrast_is_no_crop(seed):
    flat = np.full((2, SIDE, SIDE), 90 * seed, dtype=np.uint8)
    assert cropped_pairs(np.concatenate([flat, thumbnail(np.asarray(smooth(1)))[None]])) == []


COPIES = {
    "inverted": lambda image: ImageOps.invert(image),
    "mirrored left to right": lambda image: image.transpose(Turn.FLIP_LEFT_RIGHT),
    "turned by 180 degrees": lambda image: image.transpose(Turn.ROTATE_180),
    "turned by 90 degrees": lambda image: image.transpose(Turn.ROTATE_90),
    "cropped or padded": lambda image: cut(image, 0.06, 0.04, 0.05, 0.07),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_in_another_split_is_a_finding_that_names_both(tmp_path, how):
    """Near duplicates over splits name the copy in the other split, not one of their own."""
    rows = {"train": ["a", "b"], "test": ["c", "d"]}
    for seed, name in enumerate("abc"):
        smooth(seed, (256, 240)).save(tmp_path / f"{name}.png")
    COPIES[how](smooth(0, (256, 240))).save(tmp_path / "d.png")
    for split, names in rows.items():
        turns = [{"role": "user", "content": "<image>What is shown?"},
                 {"role": "assistant", "content": "A chest."}]  # fmt: skip
        lines = [json.dumps({"messages": turns, "images": [f"{name}.png"]}) for name in names]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    [issue] = audit_dataset(tmp_path).issues
    assert (issue.code, issue.split, issue.id) == ("near-duplicate", "train+test", "d.png")
    assert issue.message == f"looks the same as a.png (one is {how})"


def test_a_copy_in_the_other_split_is_named_before_one_in_the_same(tmp_path):
    image = smooth(0, (256, 240))
    image.save(tmp_path / "a.png")
    image.resize((128, 120)).save(tmp_path / "b.png")
    image.resize((200, 180)).save(tmp_path / "c.png")
    for split, names in {"train": "ab", "test": "c"}.items():
        turns = [{"role": "user", "content": "<image>What is shown?"},
                 {"role": "assistant", "content": "A chest."}]  # fmt: skip
        lines = [json.dumps({"messages": turns, "images": [f"{name}.png"]}) for name in names]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    issues = audit_dataset(tmp_path).issues
    assert [(i.split, i.id, i.message) for i in issues] == [
        ("train+test", "b.png", "looks the same as c.png"),
        ("train+test", "c.png", "looks the same as a.png"),
    ]


def digests(paths):
    rows = [(str(path), str(path), None, None, None, None) for path in paths]
    return PixelDigests(
        pl.DataFrame(rows, schema=FILES, orient="row"), perceptual=True, workers=1
    )  # fmt: skip


def test_different_real_radiographs_are_no_copies(open_cxr):
    """All chest films look alike: none of 119,805 pairs may be called a copy."""
    paths = radiographs(open_cxr)
    assert len(paths) == 490
    pixels = digests(paths)
    assert pixels.table["sha256"].n_unique() == 490
    assert pixels.near() == []


def test_copies_of_real_radiographs_are_found(open_cxr, tmp_path):
    """Every 12th radiograph, changed in one of five ways and saved as JPEG of quality 85."""
    originals = radiographs(open_cxr)[::12]
    copies = {}
    for number, path in enumerate(originals):
        how = list(COPIES)[number % len(COPIES)]
        copy = tmp_path / f"{number:02}.jpg"
        COPIES[how](Image.fromarray(radiograph.load(path))).save(copy, quality=85)
        copies[frozenset((str(path), str(copy)))] = how
    near = digests([*originals, *tmp_path.iterdir()]).near()
    found = {frozenset(group.images): group.link(*group.images) for group in near}
    assert found.keys() <= copies.keys()  # no other pair is called a copy
    assert all(copies[pair] == how for pair, how in found.items())
    assert len(found) >= 0.9 * len(copies), len(found)
