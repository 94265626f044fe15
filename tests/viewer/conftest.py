"""Fixtures: a dataset with hostile texts, an odd id, deep images and answers, and its server."""

import json
import re
import shutil
import threading
import time
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.schema import ANNOTATIONS, CONFLICTS, IMAGES, REJECTS, conform
from imaxray.study import DataConfig, build_datasets

ODD = "odd/ü <b>&\"'#?%2e%2e/../x"
HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'> no effusion"
ARABIC, HEBREW = "\u0627\u0646\u0635\u0628\u0627\u0628", "\u05d0\u05d9\u05df"
RTL = f"\u202eno edema\n{ARABIC} ({HEBREW}) 12 \u00d7 3 mm " * 20
FORGED = "</td><svg onload='window.hacked=1'>"


@pytest.fixture(scope="session")
def viewed_root(tmp_path_factory, phantom_releases, write_dicom):
    """Folder with ``data`` (the dataset), ``arms`` (two files of answers), and deep images."""
    out = tmp_path_factory.mktemp("viewed")
    config = {"imax": {"min_tasks": 4, "max_entries_per_task": {"rec": 2, "reg": 2}}}
    build_datasets(phantom_releases, DataConfig(**config), out)
    tables = open_dataset(out / "imax").tables
    tested = tables.split("test").group_by("image_id").agg(pl.col("task").n_unique().alias("n"))
    old = tested.sort("n", "image_id", descending=True)["image_id"][0]
    deep = out / "deep"
    deep.mkdir()
    ramp = np.linspace(0, 65535, 120 * 80).astype(np.uint16).reshape(120, 80)
    Image.fromarray(ramp).save(deep / "ramp.png")
    film = np.random.default_rng(0).integers(300, 3800, (8, 10)).astype(np.uint16)
    window = {"WindowCenter": 2000, "WindowWidth": 2400}
    write_dicom(deep / "film.dcm", film, PhotometricInterpretation="MONOCHROME1", **window)
    (out / "secret.png").write_bytes((deep / "ramp.png").read_bytes())
    (deep / "bad.png").write_bytes(b"no image")
    rows = [
        ("deep/png", "ramp.png", 80, 120), ("deep/dicom", "film.dcm", 10, 8),
        ("deep/outside", "../secret.png", 80, 120), ("deep/gone", "gone.png", 80, 120),
        ("deep/bad", "bad.png", 80, 120), ("deep/many", "ramp.png", 80, 120),
        ("deep/colour", "colour.png", 40, 30), ("deep/other-size", "ramp.png", 800, 1200),
    ]  # fmt: skip
    colour = np.random.default_rng(0).integers(0, 255, (30, 40, 4), np.uint8)
    Image.fromarray(colour, "RGBA").save(deep / "colour.png")
    extra = conform(
        pl.DataFrame(
            [
                {"image_id": i, "patient_id": "deep/p", "split": "train", "path": path, "width": w,
                 "height": h, "view": "LATERAL", "source": "deep", "file": "list.csv", "row": k + 1}
                for k, (i, path, w, h) in enumerate(rows)
            ]
        ),
        IMAGES,
    )  # fmt: skip
    rename = pl.col("image_id").replace({old: ODD})
    facts = tables.annotations.with_columns(rename).with_columns(
        pl.when((pl.col("image_id") == ODD) & (pl.col("kind") == "report"))
        .then(pl.lit(HOSTILE)).otherwise("text").alias("text"),
    ).select(ANNOTATIONS.names())  # fmt: skip
    facts = pl.concat([facts, conform(pl.DataFrame(_many()), ANNOTATIONS)])
    entries = tables.entries.with_columns(rename).with_columns(
        pl.when((pl.col("image_id") == ODD) & (pl.col("task") == "report"))
        .then(pl.lit(HOSTILE)).otherwise("target").alias("target"),
    )  # fmt: skip
    conflict = {
        "rule": "report-label", "image_id": ODD, "effect": "downgrade", "source": "mimic-cxr",
        "file": FORGED, "row": 1, "name": "Edema", "value": 1.0, "other_source": "mimic-cxr-jpg",
        "other_file": "b.csv", "other_row": 2, "other_name": "Edema", "other_value": 0.0,
    }  # fmt: skip
    reject = {
        "source": "mimic-cxr", "file": "a.csv", "row": 7, "key": ODD, "code": "superseded",
        "message": FORGED,
    }  # fmt: skip
    write_dataset(
        Tables(
            images=pl.concat([tables.images.with_columns(rename), extra]).sort("image_id"),
            annotations=facts.sort("image_id", maintain_order=True),
            entries=entries,
            rejects=conform(pl.DataFrame([reject]), REJECTS),
            conflicts=conform(pl.DataFrame([conflict]), CONFLICTS),
            account=tables.account,
            decisions=tables.decisions,
            files=tables.files,
            roots={**tables.roots, "deep": deep},
        ),
        out / "data",
        config={},
        seed=0,
    )
    shutil.rmtree(out / "imax")
    _answers(out, entries.filter(pl.col("split") == "test"))
    return out


def _many():
    """Annotations that no release should have: too many boxes, boxes outside, very long texts."""
    one = {
        "image_id": "deep/many", "origin": "human", "quality": "expert", "source": "deep",
        "file": "list.csv",
    }  # fmt: skip
    odd = [[-50.0, -50.0, 500.0, 500.0], [200.0, 300.0, 210.0, 310.0], [10.0, 10.0, 10.0, 10.0]]
    grid = [[float(k % 40), float(k // 4), k % 40 + 9.0, k // 4 + 9.0] for k in range(200)]
    return [
        {**one, "kind": "region", "name": "nodule", "boxes": grid, "row": 1},
        {**one, "kind": "region", "name": "outside", "boxes": odd, "row": 2},
        {**one, "kind": "report", "text": "W" * 5000, "row": 3},
        {**one, "kind": "report", "text": RTL, "row": 4},
        {**one, "kind": "label", "name": "Edema", "value": 1.0, "origin": "derived",
         "quality": "rule", "source": "derived", "file": "derivations.parquet", "row": None},
    ]  # fmt: skip


def _answers(out, entries):
    """One arm repeats the targets, with boxes in percent; the other says the same to everything."""
    from imaxray.boxes import PERCENT, split_boxes

    data = open_dataset(out / "data")
    sizes = {
        i: (w, h) for i, w, h in data.tables.images.select("image_id", "width", "height").rows()
    }
    (out / "arms").mkdir()
    good, bad = [], []
    for entry in entries.iter_rows(named=True):
        _, boxes = split_boxes(entry["prompt"], entry["target"], entry["boxes"] or [])
        text = PERCENT.fill(entry["target"], boxes, *sizes[entry["image_id"]])
        good.append({"entry_id": entry["entry_id"], "text": text})
        bad.append({"entry_id": entry["entry_id"], "text": f"[1, 2, 3, 4] {FORGED}"})
    for name, rows in (("good", good), ("bad", bad)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (out / "arms" / f"{name}.jsonl").write_text(text)


@pytest.fixture(scope="session")
def odd():
    return SimpleNamespace(id=ODD, hostile=HOSTILE, forged=FORGED)


@pytest.fixture(scope="session")
def library_of(viewed_root):
    """A function that opens the dataset with its answers, and a file of marks of its own."""
    from imaxray.viewer.library import Library
    from imaxray.viewer.opening.subject import open_subject

    def opened(marks):
        arms = [viewed_root / "arms" / f"{name}.jsonl" for name in ("good", "bad")]
        return Library(open_subject([viewed_root / "data", *arms]), marks)

    return opened


@pytest.fixture(scope="session")
def running(library_of, tmp_path_factory):
    """A running server: ``base`` (http://127.0.0.1:PORT), ``token``, ``address`` and ``marks``."""
    pytest.importorskip("fastapi", reason="the viewer needs the extra view")
    pytest.importorskip("uvicorn", reason="the viewer needs the extra view")
    from imaxray.viewer.server import bound, make_server

    marks = tmp_path_factory.mktemp("marks") / "marks.jsonl"
    with bound(0) as listening:
        server, address = make_server(library_of(marks), listening)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        base, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=(.+)", address).groups()
        yield SimpleNamespace(base=base, token=token, address=address, marks=marks)
        server.should_exit = True
        thread.join(10)
