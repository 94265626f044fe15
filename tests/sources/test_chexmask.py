"""Tests CheXmask: known shapes in both layouts of the release, and all possible faults."""

import csv
import gzip
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from imaxray.sources._shared.files.table_blocks import read_blocks
from imaxray.sources.chexmask import Chexmask

SOURCE = get_source("chexmask")

DICOM = ["-".join([f"{k:08x}"] * 5) for k in range(20)]
HEADER = ["dicom_id", "Dice RCA (Mean)", "Dice RCA (Max)", "Landmarks", "Left Lung", "Right Lung",
          "Heart", "Height", "Width"]  # fmt: skip
PARTS = {"Right Lung": slice(0, 44), "Left Lung": slice(44, 94), "Heart": slice(94, 120)}


def ellipse(count, x, y, a, b):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)


def landmarks(heart=130):
    """Heart of half-width ``heart``; lungs from x = 180 to x = 840, patient's right on the left."""
    right, left = ellipse(44, 300, 500, 120, 300), ellipse(50, 720, 500, 120, 280)
    return np.concatenate([right, left, ellipse(26, 520, 650, heart, 120)]).round().astype(int)


def rle(points, height, width):
    """The mask the authors draw: the contour filled, its own pixels included."""
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).polygon([tuple(p) for p in points.tolist()], fill=1, outline=1)
    flat = np.concatenate([[0], np.asarray(canvas).astype(int).ravel(), [0]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges))


def row(image, points=None, height=1024, width=1024, mean="0.87", best="0.93", original=False,
        **cells):  # fmt: skip
    points = landmarks() if points is None else points
    text = str(points) if original else ",".join(map(str, points.ravel()))
    values = {"id": image, "Dice RCA (Mean)": mean, "Dice RCA (Max)": best, "Landmarks": text}
    values |= {organ: rle(points[part], height, width) for organ, part in PARTS.items()}
    values |= {"Height": height, "Width": width} | cells
    return values


def write(root, name, rows, header=HEADER, layout="Preprocessed"):
    path = root / layout / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        table.writerows(
            r if isinstance(r, list) else [r["id"], *(r[h] for h in header[1:])] for r in rows
        )
    return path


def ratios(tables):
    return {
        (image, name): value
        for image, name, value in tables.annotations.select("image_id", "name", "value").rows()
    }


def test_known_shapes_in_every_collection(tmp_path, read):
    images = {
        "MIMIC-CXR-JPG": ("dicom_id", DICOM[0], f"mimic-cxr/{DICOM[0]}"),
        "ChestX-Ray8": ("Image Index", "00000001_000.png", "nih-chestxray14/00000001_000.png"),
        "CheXpert": (
            "Path", "train/patient00007/study2/view1_frontal.jpg",
            "chexpert/train/patient00007/study2/view1_frontal",
        ),
        "VinDr-CXR": ("image_id", "0a" * 16, "vindr-cxr/" + "0a" * 16),
        "Padchest": ("ImageID", "123_456-7_00-0.png", "padchest/123_456-7_00-0.png"),
    }  # fmt: skip
    for name, (column, image, _) in images.items():
        write(tmp_path, name, [row(image)], [column, *HEADER[1:]])
    files = sorted(f"Preprocessed/{name}.csv" for name in images)
    assert sorted(SOURCE.check(tmp_path)) == files
    tables = read(tmp_path)
    assert tables.images.is_empty() and tables.rejects.is_empty()
    found = ratios(tables)
    assert set(found) == {(i, n) for _, _, i in images.values() for n in ("ctr", "cpar")}
    for (_, name), value in found.items():
        # heart 261 of lungs 661 pixels wide; ellipses: area pi a b
        expected = 261 / 661 if name == "ctr" else 130 * 120 / (120 * 300 + 120 * 280)
        assert value == pytest.approx(expected, abs=1e-9 if name == "ctr" else 4e-3)
    fact = tables.annotations.row(0, named=True)
    assert fact["kind"] == "measurement" and fact["origin"] == "silver"
    assert fact["quality"] == "rca-0.8"
    with ThreadPoolExecutor(2) as pool:
        assert SOURCE.read_with(tmp_path, pool).annotations.equals(tables.annotations)


def test_both_layouts_give_the_same_ratios(tmp_path, read):
    points = landmarks()
    bigger = (points * 2.5 + (-60, 140)).round().astype(int)
    small, large = tmp_path / "small", tmp_path / "large"
    write(small, "MIMIC-CXR-JPG", [row(DICOM[0], points)])
    original = row(DICOM[0], bigger, height=2544, width=3056, original=True)
    assert "\n" in original["Landmarks"] and "," not in original["Landmarks"]
    write(large, "MIMIC-CXR-JPG", [original, row(DICOM[1])], layout="OriginalResolution")
    tables = read(large)
    assert tables.rejects.is_empty() and tables.files[0].rows == 2
    there, here = ratios(tables), ratios(read(small))
    assert len(here) == 2
    for key, value in here.items():
        assert there[key] == pytest.approx(value, abs=0.003)


def test_gzip_and_the_smaller_layout_first(tmp_path, read):
    plain = write(tmp_path, "CheXpert", [row("train/patient1/study1/view1_frontal.jpg")],
                  ["Path", *HEADER[1:]])  # fmt: skip
    before = read(tmp_path).annotations.drop("file")
    plain.with_name("CheXpert.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    write(tmp_path, "CheXpert", [["x"]], layout="OriginalResolution")
    assert SOURCE.check(tmp_path) == ["Preprocessed/CheXpert.csv.gz"]
    assert read(tmp_path).annotations.drop("file").equals(before)
    (remark,) = SOURCE.remarks(tmp_path)
    assert "OriginalResolution/CheXpert.csv" in remark
    (tmp_path / "OriginalResolution/CheXpert.csv").unlink()
    assert SOURCE.remarks(tmp_path) == []


def test_the_mean_dice_is_the_smaller_one(tmp_path, read):
    """PadChest mixes up its two columns, whose order differs too."""
    header = ["ImageID", "Dice RCA (Max)", "Dice RCA (Mean)", *HEADER[3:]]
    rows = [
        row("a.png", mean="0.71", best="0.90"),
        row("b.png", mean="0.90", best="0.71"),
        row("c.png", mean="0.90", best="0.699"),
        row("d.png", mean="0.699", best="0.90"),
        row("e.png", mean="0.7", best="0.7"),
        row("f.png", mean="1.0", best="1"),
        row("g.png", mean="", best="0.9"),
        row("h.png", mean="nan", best="0.9"),
        row("i.png", mean="1.2", best="1.3"),
        row("j.png", mean="inf", best="inf"),
        row("k.png", mean="good", best="0.9"),
    ]
    write(tmp_path, "Padchest", rows, header)
    tables = read(tmp_path)
    kept = tables.annotations.filter(pl.col("name") == "ctr")
    assert dict(kept.select("image_id", "quality").rows()) == {
        "padchest/a.png": "rca-0.7", "padchest/b.png": "rca-0.7", "padchest/e.png": "rca-0.7",
        "padchest/f.png": "rca-1.0",
    }  # fmt: skip
    assert tables.rejects.select("row", "key", "code").rows() == [
        *((k, f"{name}.png", "bad-value") for k, name in zip(range(7, 12), "ghijk", strict=True)),
        (3, "c.png", "low-quality"),
        (4, "d.png", "low-quality"),
    ]


def test_one_form_alone_is_enough(tmp_path, read):
    organs = dict.fromkeys(PARTS, "")
    shape = {"Height": "", "Width": ""}
    rows = [
        row("whole.png"),
        row("no-landmarks.png", Landmarks=""),
        row("no-masks.png", **organs),
        row("no-shape.png", **shape),
        row("float-shape.png", Height="1024.0", Width="1024.0"),
        row("neither.png", Landmarks="nan", **organs),
        row("nothing.png", Landmarks="", **shape),
        row("huge-shape.png", Landmarks="", Height="1e300", Width="9" * 30),
    ]
    write(tmp_path, "Padchest", rows, ["ImageID", *HEADER[1:]])
    tables = read(tmp_path)
    found = ratios(tables)
    for name in ("no-landmarks", "no-masks", "no-shape", "float-shape"):
        for ratio in ("ctr", "cpar"):
            whole = found["padchest/whole.png", ratio]
            assert found[f"padchest/{name}.png", ratio] == pytest.approx(whole, abs=0.002)
    assert tables.rejects.select("key", "code").rows() == [
        ("neither.png", "bad-value"), ("nothing.png", "bad-value"), ("huge-shape.png", "bad-value"),
    ]  # fmt: skip


def test_masks_that_are_not_where_the_landmarks_are(tmp_path, read):
    """Height and width swapped: in the columns, or when the masks were drawn (so cut)."""
    points = (landmarks() * 2.5 + (600, 0)).round().astype(int)  # reaches x = 2700
    right = row(DICOM[0], points, height=2544, width=3056)
    swapped = right | {"id": DICOM[1], "Height": 3056, "Width": 2544}
    cut = row(DICOM[2], points, height=3056, width=2544)
    alone = swapped | {"id": DICOM[3], **dict.fromkeys(PARTS, "1 x")}
    write(tmp_path, "MIMIC-CXR-JPG", [right, swapped, cut, alone], layout="OriginalResolution")
    tables = read(tmp_path)
    assert tables.rejects.select("row", "code").rows() == [
        (2, "mask-mismatch"), (3, "mask-mismatch"),
    ]  # fmt: skip
    found = ratios(tables)
    assert found[f"mimic-cxr/{DICOM[3]}", "ctr"] == found[f"mimic-cxr/{DICOM[0]}", "ctr"]


def test_garbage_rows_are_rejects(tmp_path, read):
    wide = landmarks(heart=400)
    rows = [
        row("no dicom"),
        [DICOM[0], "0.9"],
        row(DICOM[1], wide),
        row(DICOM[2], Heart="5 1 9", Landmarks="1,2"),
        [*row(DICOM[3]).values(), "one more"],
        row(DICOM[4], Heart="1048576 2", Landmarks="1,2"),
        row(DICOM[5]),
    ]
    write(tmp_path, "MIMIC-CXR-JPG", rows)
    tables = read(tmp_path)
    assert sorted(tables.rejects.select("row", "code").rows()) == [
        (1, "bad-id"), (2, "ragged-row"), (3, "out-of-range"), (4, "bad-value"), (5, "ragged-row"),
        (6, "bad-value"),
    ]  # fmt: skip
    facts = tables.annotations.select("row", "name").rows()
    assert facts == [(3, "cpar"), (7, "cpar"), (7, "ctr")]


def test_rows_are_read_a_block_at_a_time(tmp_path, read):
    """The same result from many small blocks, and the row numbers right after bad rows."""
    rows = [
        [DICOM[k], "0.9"] if k % 5 == 3 else row(DICOM[k], original=True, mean=f"0.{70 + k}")
        for k in range(20)
    ]
    write(tmp_path, "MIMIC-CXR-JPG", rows, layout="OriginalResolution")
    once = read(tmp_path)
    table = tmp_path / "OriginalResolution/MIMIC-CXR-JPG.csv"
    blocks = list(read_blocks(table, ["dicom_id"], 40_000))
    assert len(blocks) > 4 and max(len(block.numbers) for block in blocks) <= 3
    many = read(tmp_path, source=Chexmask(block_bytes=40_000))
    assert many.annotations.equals(once.annotations) and many.rejects.equals(once.rejects)
    assert sorted(many.rejects["row"]) == [4, 9, 14, 19]
    for number, image in many.annotations.select("row", "image_id").rows():
        assert image == f"mimic-cxr/{DICOM[number - 1]}"


def test_a_row_longer_than_a_block_is_one_sentence(tmp_path, read):
    write(tmp_path, "MIMIC-CXR-JPG", [row(DICOM[0]), row(DICOM[1])])
    with pytest.raises(ImaxrayError, match="damaged or has a row"):
        read(tmp_path, source=Chexmask(block_bytes=2000))


def test_missing_files_columns_and_rows(tmp_path):
    with pytest.raises(ImaxrayError, match=r"Expected Preprocessed/.* but found none"):
        SOURCE.check(tmp_path)
    write(tmp_path, "VinDr-CXR", [row("a")], ["Image ID", *HEADER[1:]])
    with pytest.raises(ImaxrayError, match="Expected the column image_id"):
        SOURCE.check(tmp_path)
    path = write(tmp_path, "VinDr-CXR", [], ["image_id", *HEADER[1:]])
    with pytest.raises(ImaxrayError, match="at least one data row"):
        SOURCE.read(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ImaxrayError, match="Expected the column"):
        SOURCE.check(tmp_path)


def test_a_damaged_gzip_is_one_sentence(tmp_path):
    plain = write(tmp_path, "VinDr-CXR", [row(f"a{k}") for k in range(9)],
                  ["image_id", *HEADER[1:]])  # fmt: skip
    packed = gzip.compress(plain.read_bytes())
    plain.unlink()
    path = plain.with_name("VinDr-CXR.csv.gz")
    for damaged in (packed[: len(packed) // 2], packed[:500] + b"\xff" * 50 + packed[550:],
                    b"no gzip"):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(ImaxrayError, match="damaged"):
            SOURCE.read(tmp_path)


def test_damaged_bytes_are_rejects_or_one_sentence(tmp_path, read):
    path = write(tmp_path, "Padchest", [row(f"a{k}", original=True) for k in range(6)],
                 ["ImageID", *HEADER[1:]])  # fmt: skip
    whole = path.read_bytes()
    rng = random.Random(0)
    outcomes = set()
    for trial in range(60):
        data = bytearray(whole[: rng.randrange(len(whole))] if trial % 3 == 0 else whole)
        for _ in range(rng.randrange(1, 40)):
            # half of them in the few bytes that hold structure
            k = rng.randrange(len(data) or 1) if rng.random() < 0.5 else rng.randrange(900)
            if k < len(data):
                data[k] = (
                    rng.choice(b'",\n\r\x00\xff 9') if rng.random() < 0.7 else rng.randrange(256)
                )
        path.write_bytes(bytes(data))
        try:
            tables = read(tmp_path)
            outcomes.add("rejects" if tables.rejects.height else "clean")
        except ImaxrayError:
            outcomes.add("error")
    assert {"rejects", "error"} <= outcomes


def test_measurements_find_their_images(tmp_path):
    """The three CheXpert readers share ids: what CheXmask measures lands on CheXpert's image."""
    masks, images = tmp_path / "masks", tmp_path / "images"
    key = "train/patient00001/study1/view1_frontal"
    write(masks, "CheXpert", [row(f"{key}.jpg")], ["Path", *HEADER[1:]])
    (images / key).parent.mkdir(parents=True)
    Image.new("L", (9, 8)).save(images / f"{key}.jpg")
    labels = ",".join(["1.0", *[""] * 13])
    from imaxray.schema import CHEXPERT

    head = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT])
    line = f"CheXpert-v1.0-small/{key}.jpg,Female,68,Frontal,AP,{labels}"
    for name in ("train", "valid"):
        (images / f"{name}.csv").write_text(f"{head}\n{line}\n")
    catalog = build_catalog({"chexmask": masks, "chexpert": images})
    facts = catalog.annotations.filter(pl.col("kind") == "measurement")
    assert facts["image_id"].to_list() == [f"chexpert/{key}"] * 2
