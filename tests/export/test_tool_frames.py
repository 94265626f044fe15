"""Tests that a written box lies on a marked rectangle after a tool's own code and a processor's.

Each tool reads the export and opens, scales or resizes the images by its own code; then the
processor of a model that uses the convention has its turn. 200 images of random sizes.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from datasets import load_dataset
from PIL import Image
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from trl.data_utils import prepare_multimodal_messages

from imaxray.boxes import CONVENTIONS, find_convention
from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.export import ExportConfig, export_dataset, list_box_pairs
from imaxray.geometry import Frame, Whole
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, conform
from imaxray.sources import ReleaseFile
from rectangles import lit, marked, numbers, sizes_and_boxes

COUNT = 200
RELEASED = 28 * 28 * 16384  # pixels of the released Qwen2.5-VL checkpoints
CAP = 401_408
LLAMAFACTORY = 768 * 768, 32 * 32  # the tool's own areas
PADDED = ("box-2d", "unit-padded")
WHOLE = tuple(name for name, c in CONVENTIONS.items() if c.geometry == Whole())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A dataset of marked rectangles, and size and rectangle of each image."""
    home = tmp_path_factory.mktemp("marked")
    (home / "release").mkdir()
    truth = {f"i{n}": pair for n, pair in enumerate(sizes_and_boxes(COUNT - 2, seed=11))}
    truth["wide"] = (2500, 2048), (600.0, 300.0, 1400.0, 1100.0)
    truth["high"] = (2048, 2500), (600.0, 700.0, 1100.0, 1500.0)
    for name, (size, box) in truth.items():
        path = home / "release" / f"{name}.png"
        Image.fromarray(marked(size, box)).save(path, compress_level=1)
    rows = [
        {"image_id": f"x/{name}", "patient_id": f"x/{name}", "split": "train", "view": "PA",
         "source": "x", "file": "list.csv", "row": n, "path": f"{name}.png", "width": size[0],
         "height": size[1], "entry_id": f"rec-{name}", "task": "rec", "prompt": "Locate it.",
         "target": "<box>", "boxes": [list(box)], "answer": "null", "template": "rec.x.0"}
        for n, (name, (size, box)) in enumerate(truth.items())
    ]  # fmt: skip
    tables = Tables(
        conform(pl.DataFrame([{k: row[k] for k in row if k in IMAGES} for row in rows]), IMAGES),
        conform(pl.DataFrame(schema=ANNOTATIONS), ANNOTATIONS),
        conform(pl.DataFrame([{k: row[k] for k in row if k in ENTRIES} for row in rows]), ENTRIES),
        files=(ReleaseFile("ms-cxr", "list.csv", 3, "0" * 64),),
        roots={"x": home / "release"},
    )
    write_dataset(tables, home / "data", config={}, seed=0)
    return open_dataset(home / "data"), truth


def squashed(image):
    """PaliGemma, Florence-2, Gemma 3: the whole image becomes a fixed square."""
    return through(Gemma3ImageProcessorPil(size={"height": 448, "width": 448}), image)


def cropped(image):
    """MAIRA-2 and CLIP: the shorter side becomes that of a square, which is cut from the middle."""
    size = {"shortest_edge": 518}
    crop = {"height": 518, "width": 518}
    return through(BitImageProcessorPil(size=size, crop_size=crop), image)


def padded(image):
    """LLaVA with ``image_aspect_ratio pad``."""
    size = {"height": 672, "width": 672}
    return through(LlavaImageProcessorPil(do_pad=True, size=size, do_center_crop=False), image)


def resized(cap):
    """Qwen2.5-VL: its processor's own rounding."""

    def process(image):
        high, wide = smart_resize(image.height, image.width, 28, min_pixels=3136, max_pixels=cap)
        return image if (wide, high) == image.size else image.resize((wide, high))

    return process


def through(processor, image):
    done = processor(
        images=[image.convert("RGB")], do_rescale=False, do_normalize=False, return_tensors="np"
    )  # fmt: skip
    return Image.fromarray(np.asarray(done["pixel_values"][0]).transpose(1, 2, 0).astype(np.uint8))


class Case:
    """A format with conventions, options of the export, and the model's processor."""

    def __init__(self, conventions, processor, model="other", **options):
        self.conventions, self.processor = conventions, processor
        self.model, self.options = model, options


def cases(largest, pads=False):
    """Every convention: images where they lie, or written where the tool shows another frame."""
    written = {} if pads else {"images": "write"}
    return [
        Case(WHOLE, squashed),
        Case(("crop-100",), cropped),
        Case(PADDED, padded if pads else squashed, **written),
        Case(("qwen2.5-vl",), resized(largest), model="qwen"),
        Case(("qwen2.5-vl",), resized(largest), model="qwen", images="write", max_pixels=CAP),
    ]


OWN = ("swift", "fiftyone", "croissant")
"""Formats with boxes of their own form, each of which has a test below."""


def test_every_pair_that_is_not_refused_has_a_case():
    """Images that may lie anywhere are held where they lie, the others as they are written."""
    held = {(form, None): "right" for form in OWN}
    for form in ("llamafactory", "swift", "trl", "llava"):
        for case in cases(RELEASED, pads=form == "llava"):
            how = "written" if case.options.get("images") == "write" else "right"
            for name in case.conventions:
                held.setdefault((form, find_convention(name).name), how)
    assert held == {
        (pair.format, pair.convention): pair.verdict
        for pair in list_box_pairs()
        if pair.verdict != "refused"
    }


def written(data, form, folder, case):
    """Export a case in each of its conventions; the answers by convention and image."""
    answers = {}
    for name in case.conventions:
        config = ExportConfig(boxes=name, **case.options)
        assert export_dataset(data, form, folder / name, config).left_out == {}
        answers[name] = dict(map(answer_of, rows_of(folder / name, form)))
    return answers


def rows_of(folder, form):
    if form == "trl":
        return pl.read_parquet(folder / "train.parquet").drop("images").to_dicts()
    if form == "llava":
        return json.loads((folder / "train.json").read_text())
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def answer_of(row):
    """Name of a row's image, and its answer."""
    image = json.loads(row["meta"])["image_id"].removeprefix("x/")
    turn = (row.get("completion") or row.get("messages") or row.get("conversations"))[-1]
    answer = turn.get("content", turn.get("value"))
    return image, answer if isinstance(answer, str) else answer[0]["text"]


def hold(case, answers, shown_of, truth):
    """Hold the boxes of a case against what the processor shows of each image."""
    assert all(answers[name].keys() == truth.keys() for name in case.conventions)
    for image in truth:
        shown = case.processor(shown_of(image))
        edges, frame = lit(shown), Frame(*shown.size)
        for name in case.conventions:
            said, unit = numbers(find_convention(name), answers[name][image], frame)
            lies_on(said, edges, unit, (name, *truth[image]))


def lies_on(said, edges, unit, about):
    """To one unit of a number of the box or one pixel, whichever is larger, after rounding."""
    for value, edge, step in zip(said, edges, (*unit, *unit), strict=True):
        assert abs(value - edge) <= max(step, 1.0) + 0.51, (about, said, edges)


def held(form, images, tmp_path, all_cases, save):
    """Hold every case; ``save`` lets the tool save its images, one folder for each case."""
    data, truth = images
    answers, jobs = [], []
    for number, case in enumerate(all_cases):
        folder = tmp_path / str(number)
        answers.append(written(data, form, folder, case))
        (folder / "seen").mkdir()
        jobs.append((case, folder / case.conventions[0], folder / "seen"))
    save(jobs)
    for case, told, (_, _, seen) in zip(all_cases, answers, jobs, strict=True):
        hold(case, told, lambda image, seen=seen: Image.open(seen / f"{image}.png"), truth)


def test_llamafactory(images, tmp_path, read):
    def save(jobs):
        areas = [
            (CAP if "max_pixels" in c.options else LLAMAFACTORY[0], 32 * 32) for c, _, _ in jobs
        ]
        plugin = {"qwen": "qwen2_vl", "other": "base"}
        read("llamafactory", *(
            value for (case, out, seen), area in zip(jobs, areas, strict=True)
            for value in (out, plugin[case.model], *area, seen)
        ), script="llamafactory_images")  # fmt: skip

    capped = Case(("qwen2.5-vl",), resized(RELEASED), model="qwen", max_pixels=CAP)
    held("llamafactory", images, tmp_path, [*cases(RELEASED), capped], save)


@pytest.mark.parametrize("cap", [RELEASED, CAP])
def test_swift(images, tmp_path, read, cap):
    """The tool resizes for Qwen2.5-VL by itself, to MAX_PIXELS; the processor leaves that."""

    def save(jobs):
        given = [
            value for case, out, seen in jobs for value in (out / "train.jsonl", case.model, seen)
        ]
        root = next((out for case, out, _ in jobs if "images" in case.options), tmp_path)
        read("swift", *given, script="swift_images", MAX_PIXELS=str(cap), ROOT_IMAGE_DIR=str(root))

    if cap == RELEASED:
        some = [case for case in cases(RELEASED) if "images" not in case.options]
        some[-1].processor = lambda image: image
    else:
        some = [Case(("qwen2.5-vl",), lambda image: image, model="qwen", max_pixels=cap)]
    held("swift", images, tmp_path, some, save)


@pytest.mark.parametrize("number", [2, 4])
def test_swift_with_written_images(images, tmp_path, read, number):
    case = cases(RELEASED)[number]

    def save(jobs):
        [(_, out, seen)] = jobs
        read("swift", out / "train.jsonl", case.model, seen,
             script="swift_images", ROOT_IMAGE_DIR=str(out))  # fmt: skip

    held("swift", images, tmp_path, [case], save)


def test_trl(images, tmp_path):
    def save(jobs):
        for _, out, seen in jobs:
            rows = load_dataset(
                "parquet", data_files=str(out / "train.parquet"), split="train",
                cache_dir=str(tmp_path / "cache"),
            )  # fmt: skip
            for row in rows:
                [turn] = prepare_multimodal_messages(row["prompt"], row["images"])
                [image] = [b["image"] for b in turn["content"] if b["type"] == "image"]
                name = json.loads(row["meta"])["image_id"].removeprefix("x/")
                image.save(seen / f"{name}.png", compress_level=1)

    capped = Case(("qwen2.5-vl",), resized(CAP), model="qwen", max_pixels=CAP)
    held("trl", images, tmp_path, [*cases(RELEASED), capped], save)


def test_llava(images, tmp_path):
    """Its own code pads the image to a square; ``LlavaImageProcessor`` does the same."""

    def save(jobs):
        for _, out, seen in jobs:
            for row in rows_of(out, "llava"):
                name = Path(row["image"]).name.split(".")[0]
                (seen / f"{name}.png").symlink_to(out / row["image"])

    capped = Case(("qwen2.5-vl",), resized(CAP), model="qwen", max_pixels=CAP)
    held("llava", images, tmp_path, [*cases(RELEASED, pads=True), capped], save)


@pytest.mark.parametrize(("model", "processor"), [("qwen", None), ("other", squashed)])
def test_swift_writes_boxes_of_its_own(images, tmp_path, read, model, processor):
    """Pixels of the file in ``objects``, which its template brings to the model's frame."""
    data, truth = images
    out, seen = tmp_path / "out", tmp_path / "seen"
    assert export_dataset(data, "swift", out).left_out == {}
    seen.mkdir()
    rows = read("swift", out / "train.jsonl", model, seen, script="swift_images")
    assert {name for name, *_ in rows} == truth.keys()
    for name, [box], most in rows:
        shown = Image.open(seen / f"{name}.png")
        shown = processor(shown) if processor else shown
        unit = shown.width / most[0], shown.height / most[1]
        said = np.multiply(box, [*unit, *unit])
        lies_on(said, lit(shown), unit, (name, *truth[name]))


def test_fiftyone(images, tmp_path, read):
    """Its importer gives fractions of the image that it names."""
    data, truth = with_regions(images)
    export_dataset(data, "fiftyone", tmp_path / "out")
    rows = read("fiftyone", tmp_path / "out")
    assert len(rows) == len(truth)
    for row in rows:
        shown = Image.open(row["filepath"])
        [found] = row["fields"]["regions"]["detections"]
        x, y, wide, high = np.multiply(found["bounding_box"], [*shown.size, *shown.size])
        lies_on((x, y, x + wide, y + high), lit(shown), (1e-6, 1e-6), row["filepath"])


def with_regions(images):
    """The dataset, whose boxes are facts too."""
    data, truth = images
    boxes = data.tables.entries.select("image_id", "boxes")
    facts = boxes.with_columns(
        kind=pl.lit("region"), name=pl.lit("mark"), origin=pl.lit("human"),
        quality=pl.lit("expert"), source=pl.lit("x"), file=pl.lit("facts.csv"),
        row=pl.int_range(1, pl.len() + 1),
    )  # fmt: skip
    tables = replace(data.tables, annotations=conform(facts, ANNOTATIONS))
    return replace(data, tables=tables), truth


def test_croissant(images, tmp_path):
    """It gives pixels of the images that the table of images names."""
    import mlcroissant

    data, truth = images
    export_dataset(data, "croissant", tmp_path / "out")
    described = mlcroissant.Dataset(tmp_path / "out" / "croissant.json")
    paths = {
        row["images/image_id"]: row["images/path"].decode() for row in described.records("images")
    }
    rows = list(described.records("entries_train"))
    assert len(rows) == len(truth)
    for row in rows:
        name = paths[row["entries_train/image_id"]]
        shown = Image.open(data.tables.roots["x"] / name)
        said = np.asarray(row["entries_train/boxes"]).reshape(4)
        lies_on(said, lit(shown), (1e-6, 1e-6), name)
