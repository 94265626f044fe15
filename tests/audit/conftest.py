"""Makes a small clean dataset folder; a test may damage its tables before they are written."""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.audit import audit_dataset
from imaxray.curation import Tables, write_dataset
from imaxray.schema import ANNOTATIONS, IMAGES, conform
from imaxray.tasks import make_entries

PLACES = {"a": ("p1", "train"), "b": ("p1", "train"), "c": ("p2", "val"), "d": ("p3", "test")}
FACTS = (
    {"kind": "measurement", "name": "ctr", "value": 0.61},
    {"kind": "grade", "name": "edema", "value": 2.0},
    {"kind": "label", "name": "Cardiomegaly", "value": 1.0},
    {"kind": "label", "name": "Edema", "value": 1.0},
    {"kind": "label", "name": "Pneumothorax", "value": 0.0},
    {"kind": "report", "name": "findings", "text": "Interstitial edema. No pneumothorax."},
    {"kind": "region", "name": "heart", "text": "heart", "boxes": [[10.0, 8.0, 40.0, 48.0]]},
    {"kind": "qa", "name": "verify", "value": 1.0, "text": "Is there edema?", "answers": ["yes"]},
)  # fmt: skip


def draw(path, seed, shape=(48, 64)):
    """An image that looks like no other: coarse noise, so that it survives being resized."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC).save(path)


def facts(image, given=FACTS):
    return [
        {"image_id": f"c/{image}", "origin": "human", "quality": "q", "source": "x", "file": "x",
         "row": row, **fact}
        for row, fact in enumerate(given, start=1)
    ]  # fmt: skip


@dataclass
class Spoilable:
    """Tables of a dataset, and the audit of the folder that they make."""

    tables: Tables
    tmp: object

    @property
    def root(self):
        return self.tables.roots["x"]

    def images(self, **columns):
        self.tables = replace(self.tables, images=self.tables.images.with_columns(**columns))

    def entries(self, **columns):
        self.tables = replace(self.tables, entries=self.tables.entries.with_columns(**columns))

    def annotate(self, image, *given):
        """Replace an image's annotations, and make all entries anew."""
        others = self.tables.annotations.filter(pl.col("image_id") != f"c/{image}")
        new = conform(pl.DataFrame(facts(image, given)), ANNOTATIONS)
        annotations = pl.concat([others, new])
        entries = make_entries(annotations, self.tables.images)
        self.tables = replace(self.tables, annotations=annotations, entries=entries)

    def write(self, config=MappingProxyType({})):
        folder = self.tmp / "data"
        write_dataset(self.tables, folder, config=config, seed=0)
        return folder

    def audit(self, **options):
        return audit_dataset(self.write(), **options)

    def entry(self, image, task):
        """Id of an image's first entry of a task."""
        mine = (pl.col("image_id") == f"c/{image}") & (pl.col("task") == task)
        return self.tables.entries.filter(mine)["entry_id"][0]


@pytest.fixture
def picture():
    """Function that writes an image of 64 by 48 pixels: path and seed."""
    return draw


@pytest.fixture
def data(tmp_path):
    for seed, name in enumerate(PLACES):
        draw(tmp_path / "release" / f"{name}.png", seed)
    images = conform(
        pl.DataFrame([
            {"image_id": f"c/{i}", "patient_id": f"c/{p}", "split": s, "path": f"{i}.png",
             "width": 64, "height": 48, "view": "PA", "source": "x", "file": "x", "row": n}
            for n, (i, (p, s)) in enumerate(PLACES.items(), start=1)
        ]),
        IMAGES,
    )  # fmt: skip
    annotations = conform(pl.DataFrame([f for i in PLACES for f in facts(i)]), ANNOTATIONS)
    entries = make_entries(annotations, images)
    roots = {"x": tmp_path / "release"}
    return Spoilable(Tables(images, annotations, entries, roots=roots), tmp_path)
