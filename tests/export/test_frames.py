"""Tests that a box lies on its object in the frame that a tool shows the model."""

import io
import json
import random

import numpy as np
import polars as pl
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from dicoms import write_dicom
from imaxray.boxes import BOX_2D, CONVENTIONS, PIXELS, find_convention
from imaxray.errors import ImaxrayError
from imaxray.export import ExportConfig, export_dataset
from imaxray.export.frames import in_frame_of
from imaxray.export.framing import framed
from imaxray.export.tools.llamafactory import FORMAT as LLAMAFACTORY
from imaxray.export.tools.trl import FORMAT as TRL
from imaxray.geometry import ScaledThenResized, SmartResize
from rectangles import lit, marked, numbers, sizes_and_boxes

CHATS = ("llamafactory", "swift", "trl", "llava")
SHOWN = {  # images in the release's own size, or in the frame of the convention
    "whole": ("percent", "per-mille", "per-mille-tagged", "unit", "points", "loc-1024", "loc-1000",
              "points-100"),
    "frame": ("unit-padded", "box-2d", "pixels", "crop-100"),
}  # fmt: skip


def test_every_convention_is_tried():
    assert sorted(CONVENTIONS) == sorted((*SHOWN["whole"], *SHOWN["frame"]))


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
def test_a_marked_rectangle_lies_under_its_box_in_the_written_frame(name):
    """200 random sizes; to one unit of the last digit, or one pixel of the frame."""
    convention = CONVENTIONS[name]
    for size, box in sizes_and_boxes(200):
        image = framed(marked(size, box), convention.geometry)
        frame = convention.geometry.frame(*size)
        assert image.size == (round(frame.width), round(frame.height))
        said, unit = numbers(convention, convention.render(box, *size), frame)
        seen = lit(image)
        for value, edge, step in zip(said, seen, (*unit, *unit), strict=True):
            assert abs(value - edge) <= max(step, 1.0) + 0.51, (size, box, said, seen)


def test_llamafactory_scales_before_the_processor_does(read):
    """The tool's own code, then the processor's own function; real areas."""
    random.seed(3)
    sizes = [(random.randint(200, 3600), random.randint(200, 3600)) for _ in range(200)]
    sizes += [(2048, 2500), (2500, 2048), (20, 700), (1000, 31)]
    geometry = ScaledThenResized()
    [scaled] = read(
        "llamafactory", geometry.cap, geometry.least, *(f"{w}x{h}" for w, h in sizes),
        script="llamafactory_frames",
    )  # fmt: skip
    other = 0
    for size, (wide, high) in zip(sizes, scaled, strict=True):
        bottom, right = smart_resize(
            high, wide, 28, min_pixels=geometry.min_pixels, max_pixels=geometry.max_pixels
        )
        assert geometry.resized(*size) == (right, bottom), size
        other += SmartResize(max_pixels=geometry.cap).resized(*size) != (right, bottom)
    assert other > 100  # the processor alone would give another frame for most sizes


def test_written_images_leave_the_tool_and_the_processor_nothing_to_do(read):
    convention = in_frame_of(LLAMAFACTORY, PIXELS, "write")
    sizes = [size for size, _ in sizes_and_boxes(50, seed=5)] + [(2048, 2500)]
    frames = [convention.geometry.resized(*size) for size in sizes]
    [scaled] = read(
        "llamafactory", 768 * 768, 32 * 32, *(f"{w}x{h}" for w, h in frames),
        script="llamafactory_frames",
    )  # fmt: skip
    assert [tuple(size) for size in scaled] == frames
    for wide, high in frames:
        assert smart_resize(high, wide, 28, min_pixels=3136, max_pixels=12_845_056) == (high, wide)


@pytest.mark.parametrize("form", ["llamafactory", "swift", "trl"])
@pytest.mark.parametrize("boxes", ["medgemma", "llava", "box-2d", "unit-padded"])
def test_a_pair_that_would_be_wrong_is_refused_with_a_way_that_is_right(
    small, tmp_path, form, boxes
):
    with pytest.raises(ImaxrayError, match=r"padded to a square.*--images write.*per-mille"):
        export_dataset(small.open(), form, tmp_path / "out", ExportConfig(boxes=boxes))
    assert not (tmp_path / "out").exists()


def test_llava_pads_by_itself(small, tmp_path):
    report = export_dataset(small.open(), "llava", tmp_path / "out", ExportConfig(boxes="llava"))
    assert report.left_out == {}


def images_of(folder, form):
    if form == "trl":
        return [
            Image.open(io.BytesIO(row["images"][0]["bytes"]))
            for row in pl.read_parquet(folder / "train.parquet").iter_rows(named=True)
        ]
    return [Image.open(path) for path in sorted((folder / "images").rglob("*.png"))]


@pytest.mark.parametrize("form", CHATS)
def test_written_images_are_those_that_the_boxes_refer_to(small, tmp_path, form):
    config = ExportConfig(boxes="medgemma", images="write")
    report = export_dataset(small.open(), form, tmp_path / "out", config)
    assert report.left_out == {}
    assert {image.size for image in images_of(tmp_path / "out", form)} == {(200, 200)}
    assert {image.mode for image in images_of(tmp_path / "out", form)} == {"L"}
    files = json.loads((tmp_path / "out" / "export.json").read_text())["files"]
    assert any(name.endswith(".png") for name in files) == (form != "trl")
    [row] = [r for r in texts(tmp_path / "out", form) if "Locate" in r]
    assert BOX_2D.render((20, 10, 100, 60.5), 200, 100) in row.replace("\\", "")


def texts(folder, form):
    if form == "trl":
        rows = pl.read_parquet(folder / "train.parquet").drop("images").to_dicts()
        return [json.dumps(row) for row in rows]
    lines = (folder / f"train.json{'' if form == 'llava' else 'l'}").read_text()
    rows = json.loads(lines) if form == "llava" else map(json.loads, lines.strip().split("\n"))
    return [json.dumps(row) for row in rows]


def image_in_export(folder, form, name):
    """The image of a row as its tool opens it."""
    if form == "trl":
        [row] = [
            r for r in pl.read_parquet(folder / "train.parquet").to_dicts()
            if json.loads(r["meta"])["image_id"] == f"x/{name}" and "rec-1" in r["id"]
        ]  # fmt: skip
        image = row["images"][0]
        return Image.open(io.BytesIO(image["bytes"]) if image["bytes"] else image["path"])
    if form == "fiftyone":
        samples = json.loads((folder / "samples.json").read_text())["samples"]
        [path] = [s["filepath"] for s in samples if s["image_id"] == f"x/{name}"]
    else:
        [row] = [json.loads(r) for r in texts(folder, form) if json.loads(r)["id"] == "rec-1"]
        path = row["images"][0] if "images" in row else row["image"]
    return Image.open(folder / path)  # an absolute path stays itself


def of_form(form):
    return {} if form in ("swift", "fiftyone") else {"boxes": "percent"}


@pytest.mark.parametrize("how", ["path", "link", "copy", "write"])
@pytest.mark.parametrize("form", [*CHATS, "fiftyone"])
def test_dicom_and_16_bit_images_are_decoded(small, tmp_path, form, how):
    if (form, how) in {("trl", "link"), ("fiftyone", "write")}:
        return  # these are refused
    deep = np.zeros((100, 200), np.uint16)
    deep[10:60, 20:100] = 60_000
    Image.fromarray(deep).save(small.root / "b.png")
    write_dicom(small.root / "a.dcm", (deep // 16).astype(np.uint16))
    small.images["a"]["path"] = "a.dcm"
    out = tmp_path / "out"
    config = ExportConfig(images=how, splits=("train",), **of_form(form))
    report = export_dataset(small.open(), form, out, config)
    assert report.left_out == {}
    assert report.decoded == (
        {"frame": 2} if how == "write" else {"image-format": 1, "image-depth": 1}
    )
    image = image_in_export(out, form, "a")
    assert image.mode == "L" and image.size == (200, 100)
    assert lit(image) == (20, 10, 100, 60)
    manifest = json.loads((out / "export.json").read_text())
    assert {code: d["images"] for code, d in manifest["decoded"].items()} == report.decoded
    assert all(d["why"] for d in manifest["decoded"].values())
    names = {"images/x/a.dcm.png", "images/x/b.png"}
    if form == "trl" and how != "path":
        assert not (out / "images").exists()  # the rows hold the images
    else:
        assert names <= manifest["files"].keys()
        assert all(not (out / name).is_symlink() for name in names)


def test_an_image_whose_pixels_are_damaged_is_left_out(small, tmp_path):
    deep = np.random.default_rng(0).integers(0, 60_000, (100, 200), dtype=np.uint16)
    Image.fromarray(deep).save(small.root / "a.png")
    content = (small.root / "a.png").read_bytes()
    (small.root / "a.png").write_bytes(content[: len(content) // 2])
    for form, how in (("swift", "path"), ("swift", "write"), ("fiftyone", "copy")):
        report = export_dataset(
            small.open(), form, tmp_path / "out", ExportConfig(images=how, splits=("train",))
        )
        assert report.left_out == {"image-format": 1 if form == "fiftyone" else 3}
        assert not (tmp_path / "out" / "images" / "x" / "a.png").exists()


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("how", ["path", "copy", "write"])
@pytest.mark.parametrize("form", [*CHATS, "fiftyone"])
def test_a_turned_image_is_written_upright(small, tmp_path, form, how, orientation):
    """The table's size and boxes are those of the upright image; it is square, so both fit."""
    if (form, how) == ("fiftyone", "write"):
        return  # this is refused
    turned_square(small, orientation)
    config = ExportConfig(images=how, splits=("train",), **of_form(form))
    report = export_dataset(small.open(), form, tmp_path / "out", config)
    assert report.left_out == {}
    assert report.decoded == ({"frame": 2} if how == "write" else {"image-turned": 1})
    image = image_in_export(tmp_path / "out", form, "a")
    assert image.getexif().get(0x0112, 1) == 1
    assert all(abs(a - b) <= 1 for a, b in zip(lit(image), (50, 10, 90, 30), strict=True))


def turned_square(small, orientation):
    """Make image a a square that lies as the tag says, with one box in each of two entries."""
    pixels = np.zeros((100, 100), np.uint8)
    pixels[10:30, 50:90] = 255
    turn = {3: 2, 6: 1, 8: 3}[orientation]  # quarter turns that the tag takes back
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.rot90(pixels, turn)).save(
        small.root / "a.jpg", exif=exif, quality=95, subsampling=0
    )
    small.images["a"] = {"path": "a.jpg", "width": 100, "height": 100}
    small.rows[0][5] = [[50.0, 10.0, 90.0, 30.0]]
    small.rows[0][4] = "<box>"
    small.rows[1][5] = [[50.0, 10.0, 90.0, 30.0]]
    small.facts = []


def test_boxes_that_the_crop_cuts_off_are_left_out(small, tmp_path):
    small.add("a", "rec-2", "Locate the tube.", "<box>", [[0.0, 10.0, 40.0, 40.0]])
    config = ExportConfig(boxes="maira-2")
    report = export_dataset(small.open(), "trl", tmp_path / "out", config)
    assert report.left_out == {"box-crop": 1}


@pytest.mark.parametrize("form", ["fiftyone", "croissant"])
def test_formats_without_a_model_write_no_frames(small, tmp_path, form):
    with pytest.raises(ImaxrayError, match="path, link or copy"):
        export_dataset(small.open(), form, tmp_path / "out", ExportConfig(images="write"))


def test_trl_and_qwen_share_the_processor_frame():
    chosen = find_convention("qwen2.5-vl", max_pixels=12_845_056)
    assert in_frame_of(TRL, chosen, "path", capped=True) == chosen
