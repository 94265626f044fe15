"""Makes a dataset of three images whose rows are known by hand, and runs readers of tools."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, conform
from imaxray.sources import ReleaseFile

ROOT = Path(__file__).resolve().parents[2]
SIZE = (200, 100)
IMAGES_OF = {"a": ("p1", "train"), "b": ("p2", "train"), "c": ("p3", "test")}
BOX, OTHER = [20.0, 10.0, 100.0, 60.5], [120.0, 20.0, 180.0, 80.0]

ROWS = (  # image, entry, task, prompt, target, boxes
    ("a", "rec-1", "rec", "Locate the effusion.", "<box> <box>", [BOX, OTHER]),
    ("a", "reg-1", "reg", "Describe the region <box>.", "heart", [BOX]),
    ("a", "vqa-1", "vqa", "Größe normal? ≥ 0,5 – 是", "ja, µ\u2028§ “so”", []),
    ("b", "report-1", "report", "Write the report.", "Clear lungs.\nNo effusion.", []),
    ("c", "calculation-1", "calculation", "What is the CTR?", "0.52", None),
)
FACTS = (
    ("a", {"kind": "label", "name": "Edema", "value": 1.0}),
    ("a", {"kind": "label", "name": "Pneumothorax", "value": 0.0}),
    ("a", {"kind": "label", "name": "Pneumonia", "value": -1.0}),
    ("a", {"kind": "region", "name": "heart", "text": "big heart", "boxes": [BOX, OTHER]}),
    ("a", {"kind": "grade", "name": "edema", "value": 2.0}),
    ("c", {"kind": "measurement", "name": "ctr", "value": 0.52}),
    ("c", {"kind": "report", "name": "findings", "text": "Clear."}),
)


class Small:
    """The dataset, to be spoilt before it is written."""

    def __init__(self, folder):
        self.root, self.folder = folder / "release", folder / "data"
        self.source = "x"
        self.rows = [list(row) for row in ROWS]
        self.facts = list(FACTS)
        self.images = {
            name: {"path": f"{name}.png", "width": SIZE[0], "height": SIZE[1]} for name in IMAGES_OF
        }
        self.root.mkdir()
        for seed, name in enumerate(IMAGES_OF):
            pixels = np.random.default_rng(seed).integers(0, 255, SIZE[::-1], dtype=np.uint8)
            Image.fromarray(pixels).save(self.root / f"{name}.png")

    def add(self, image, entry, prompt, target, boxes=()):
        self.rows.append([image, entry, entry.split("-")[0], prompt, target, list(boxes)])

    def open(self):
        images = [
            {"image_id": f"x/{i}", "patient_id": f"x/{p}", "split": s, "view": "PA",
             "source": self.source, "file": "list.csv", "row": n, **self.images[i]}
            for n, (i, (p, s)) in enumerate(IMAGES_OF.items(), start=1)
        ]  # fmt: skip
        owner = {f"x/{i}": v for i, v in IMAGES_OF.items()}
        entries = [
            {"image_id": f"x/{i}", "patient_id": f"x/{owner.get(f'x/{i}', ('p9', 0))[0]}",
             "split": owner.get(f"x/{i}", (0, "train"))[1], "entry_id": e, "task": t, "prompt": p,
             "target": a, "boxes": b, "answer": "null", "template": f"{t}.x.0"}
            for i, e, t, p, a, b in self.rows
        ]  # fmt: skip
        facts = [
            {"image_id": f"x/{i}", "origin": "human", "quality": "expert", "source": "x",
             "file": "facts.csv", "row": n, **fact}
            for n, (i, fact) in enumerate(self.facts, start=1)
        ]  # fmt: skip
        tables = Tables(
            conform(pl.DataFrame(images), IMAGES),
            conform(pl.DataFrame(facts, infer_schema_length=None), ANNOTATIONS),
            conform(pl.DataFrame(entries, infer_schema_length=None), ENTRIES),
            files=(ReleaseFile("ms-cxr", "list.csv", 3, "0" * 64),),
            roots={self.source: self.root},
        )
        write_dataset(tables, self.folder, config={}, seed=0)
        return open_dataset(self.folder)


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


@pytest.fixture
def read(tmp_path):
    """Function that runs a tool's reader: its rows, as printed."""

    def run(tool, *args, script=None, **environment):
        packages = ROOT / ".readers" / tool
        if not (packages / ".installed").exists():
            pytest.skip(f"the packages of {tool} are not in .readers; `make readers` brings them")
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        offline = {
            "HOME": str(home), "HF_HOME": str(home), "MODELSCOPE_CACHE": str(home),
            "HF_HUB_OFFLINE": "1", "FIFTYONE_DO_NOT_TRACK": "1", "PYTHONPATH": str(packages),
        }  # fmt: skip
        script = Path(__file__).parent / "readers" / f"read_{script or tool}.py"
        done = subprocess.run(
            [sys.executable, script, *map(str, args)],
            capture_output=True, text=True, check=False, cwd=home,
            env={**os.environ, **offline, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [line for line in done.stdout.splitlines() if line.startswith("ROW ")]
        return [json.loads(line.removeprefix("ROW ")) for line in lines]

    return run
