"""Makes small valid releases (one module per source in ``releases/``) for tests of all readers."""

import importlib
import math
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from imaxray.phantom import write_phantom
from imaxray.schema import FINDINGS, SECTIONS
from imaxray.sources import is_inside

RELEASES = Path(__file__).parent / "releases"
PHANTOM = (
    "chest-imagenome", "cxr-cardiomegaly", "mimic-cxr", "mimic-cxr-jpg", "mimic-cxr-pe-severity",
    "mimic-cxr-vqa", "ms-cxr",
)  # fmt: skip
"""Sources whose small release the phantom writes."""
UNPACKED = {
    "mimic-cxr": ("mimic-cxr-reports.zip", "mimic-cxr-reports"),
    "chest-imagenome": ("silver_dataset/scene_graph.zip", "silver_dataset"),
}
"""Of them, those that people unpack."""


def writers(name):
    """Functions of ``releases/<name>.py`` that write a variant of the release, by variant."""
    stem = name.replace("-", "_")
    if not (RELEASES / f"{stem}.py").is_file():
        return {}
    module = importlib.import_module(f"sources.releases.{stem}")
    return {
        key: value
        for key, value in vars(module).items()
        if key.startswith("write") and value.__module__ == module.__name__
    }


def unpacked(root, target):
    if not target.exists():
        archive, folder = UNPACKED[root.name]
        shutil.copytree(root, target)
        shutil.unpack_archive(target / archive, target / folder)
        (target / archive).unlink()
    return target


@pytest.fixture(scope="session")
def small_releases(tmp_path_factory):
    """A function: the small releases of a source, a folder for each variant."""
    base = tmp_path_factory.mktemp("releases")

    def make(name):
        if name in PHANTOM:
            if not (base / "phantom").exists():
                write_phantom(base / "phantom", images=20, seed=5)
            made = {"zipped": base / "phantom" / name}
            if name in UNPACKED:
                made["unpacked"] = unpacked(made["zipped"], base / "unpacked" / name)
            return made
        made = {}
        for variant, write in writers(name).items():
            made[variant] = base / name / variant
            if not made[variant].exists():
                made[variant].mkdir(parents=True)
                write(made[variant])
        return made

    return make


@pytest.fixture(scope="session")
def account_closes():
    """A function: every row of every file is in an image, an annotation, a hint, or a reject."""

    def check(tables):
        key = ["source", "file", "row"]
        frames = (tables.images, tables.annotations, tables.hints, tables.rejects)
        seen = pl.concat([f.select(key) for f in frames]).unique()
        known = {(file.source, file.file) for file in tables.files}
        assert set(seen.select("source", "file").unique().iter_rows()) <= known
        for file in tables.files:
            rows = seen.filter(pl.col("source") == file.source, pl.col("file") == file.file)["row"]
            assert sorted(rows) == list(range(1, file.rows + 1)), file.file

    return check


@pytest.fixture
def read(request, account_closes):
    """A function: what the ``SOURCE`` of the test's module reads; its account closes."""

    def check(root, pool=None, source=None):
        tables = (source or request.module.SOURCE).read_with(root, pool)
        account_closes(tables)
        return tables

    return check


@pytest.fixture
def copies(small_releases, tmp_path):
    """A function: copies of the small releases of a source, tables only where MIMIC's are."""

    def make(source):
        made = small_releases(source.name)
        assert made, f"{source.name} has no small release: write tests/sources/releases/"
        ignore = shutil.ignore_patterns("*.jpg", "*.dcm") if source.name in PHANTOM else None
        return [
            shutil.copytree(root, tmp_path / variant, ignore=ignore)
            for variant, root in sorted(made.items())
        ]

    return make


@pytest.fixture(scope="session")
def sound(account_closes):
    """A function: the account of what a reader returned closes, and its values are legal."""

    def check(tables, source):
        account_closes(tables)
        assert_sound(tables, source)

    return check


@pytest.fixture(scope="session")
def one_sentence():
    """A function: an error is one sentence."""
    return assert_one_sentence


def assert_sound(tables, source):
    """Whatever a reader returns has the values that the schema allows."""
    prefix = tuple(f"{name}/" for name in source.collection.split(", "))
    for reject in tables.rejects.unique(["code", "message"]).iter_rows(named=True):
        assert re.fullmatch("[a-z0-9-]+", reject["code"]), reject
        assert reject["message"] and reject["message"].isprintable(), reject
    for image in tables.images.iter_rows(named=True):
        assert image["image_id"].startswith(prefix) and image["patient_id"].startswith(prefix), (
            image
        )
        assert is_inside(image["path"]), image
        assert image["width"] > 0 and image["height"] > 0, image
        assert image["sex"] in (None, "M", "F"), image
        assert image["age"] is None or 0 <= image["age"] <= 120, image
    for hint in tables.hints.iter_rows(named=True):
        ids = [hint[k] for k in ("image_id", "study_id", "patient_id") if hint[k] is not None]
        assert len(ids) == 1 and ids[0].startswith(prefix), hint
        assert hint["split"] in (None, "train", "val", "test"), hint
    for fact in tables.annotations.iter_rows(named=True):
        ids = [fact[k] for k in ("image_id", "study_id") if fact[k] is not None]
        assert ids and all(i.startswith(prefix) for i in ids), fact
        assert fact["origin"] and fact["quality"], fact
        # a region may have no name, or be of a named thing that there is no phrase for
        assert is_said(fact["name"]) or (fact["name"] is None and fact["kind"] == "region"), fact
        assert SOUND[fact["kind"]](fact), fact


def is_said(text):
    return text is not None and text.strip() != ""


def sound_boxes(boxes):
    return bool(boxes) and all(
        len(b) == 4 and all(map(math.isfinite, b)) and b[0] < b[2] and b[1] < b[3] for b in boxes
    )


SOUND = {
    "measurement": lambda f: f["name"] in ("ctr", "cpar") and 0 < f["value"] < 1,
    "report": lambda f: f["name"] in SECTIONS and f["text"].strip(),
    "grade": lambda f: f["name"] == "edema" and f["value"] in (0, 1, 2, 3),
    "label": lambda f: f["name"] in FINDINGS and f["value"] in (-1, 0, 1),
    "region": lambda f: is_said(f["text"] or f["name"]) and sound_boxes(f["boxes"]),
    "qa": lambda f: f["text"].strip() and f["answers"] is not None and f["value"] in (0, 1),
}


def assert_one_sentence(error):
    """Fit to be read: what was expected, in one line of sane length."""
    message = str(error)
    assert message.startswith("Expected ") and message.endswith("."), message
    assert len(message) < 1500 and message.isprintable(), message
