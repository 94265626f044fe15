"""Tests properties that hold for all releases, on random consistent and contradictory ones."""

import hashlib
import random
from pathlib import Path
from unittest import mock

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaxray.curation import (
    CurationConfig,
    DmaxConfig,
    DuplicatesConfig,
    ImaxConfig,
    SplitConfig,
    build_catalog,
    match_dmax,
    select_imax,
    write_dataset,
)
from imaxray.errors import ImaxrayError
from imaxray.schema import FINDINGS, IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources import ReleaseFile, Source, SourceTables

NAMES = ("a", "b", "c")
CONFIG = CurationConfig(duplicates=DuplicatesConfig(effect="off"), splits=SplitConfig(val=0.2))
SLOW = (HealthCheck.too_slow,)

ROWS = 40  # of each table of facts
WORDS = ("effusion", "Effusion", "nodule in the left lung", "opacity", "clear", "no effusion")


def owner(rng):
    """An image (two of them a study, four a patient) or a study; a few are in no release."""
    number = rng.randrange(26)
    return rng.choice(({"image_id": f"c/i{number}"}, {"study_id": f"c/s{number // 2}"}))


def box(rng):
    x, y = rng.uniform(-50, 120), rng.uniform(-50, 100)
    return [x, y, x + rng.uniform(0.01, 200), y + rng.uniform(0.01, 200)]


VALUES = {
    "measurement": lambda rng: {"name": rng.choice(("ctr", "cpar")), "value": rng.uniform(0.01, 1)},
    "report": lambda rng: {"name": rng.choice(("findings", "impression")),
                           "text": rng.choice(WORDS)},
    "grade": lambda rng: {"name": "edema", "value": float(rng.randrange(4))},
    "label": lambda rng: {"name": rng.choice(FINDINGS), "value": rng.choice((-1.0, 0.0, 1.0)),
                          "reader": rng.choice((None, None, "r1", "r2"))},
    "region": lambda rng: {"name": rng.choice(WORDS), "text": rng.choice(WORDS),
                           "boxes": [box(rng) for _ in range(rng.randrange(1, 4))],
                           "reader": rng.choice((None, None, "r1", "r2"))},
    "qa": lambda rng: {"name": "q", "text": rng.choice(WORDS), "value": float(rng.randrange(2)),
                       "answers": rng.sample(WORDS, rng.randrange(3))},
}  # fmt: skip


class Release(Source):
    """A source that returns what it was given."""

    title = version = licence = citation = url = "none"
    collection, tasks, access = "c", (), "open"

    def __init__(self, name, tables):
        self.name, self.tables = name, tables

    def check(self, root):
        return []

    def read(self, root):
        return self.tables


@st.composite
def releases(draw):
    """Three releases about the same images: which has which image, fact and hint is chance."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    count = draw(st.integers(8, 24) | st.integers(0, 8))
    facts = draw(st.integers(40, 150) | st.integers(0, 40))
    hinted = draw(st.integers(2, 6) | st.integers(0, 2))
    made = {}
    for name in NAMES:
        numbers = [rng.randrange(count) for _ in range(rng.randrange(count + 1))]
        picture = [
            {"image_id": f"c/i{i}", "study_id": f"c/s{i // 2}", "patient_id": f"c/p{i // 4}",
             "path": f"{i}.png", "width": 100, "height": 80, "row": row,
             "view": rng.choice(("PA", "AP", "FRONTAL", "LATERAL", None))}
            for row, i in enumerate(numbers, start=1)
        ]  # fmt: skip
        kinds = [rng.choice(list(VALUES)) for _ in range(facts)]
        origins = ("human", "silver")
        stated = [
            {"row": rng.randrange(1, ROWS + 1), "kind": kind, "origin": rng.choice(origins),
             "quality": "q"} | owner(rng) | VALUES[kind](rng)
            for kind in kinds
        ]  # fmt: skip
        hints = [
            {"row": rng.randrange(1, ROWS + 1), "split": rng.choice(("train", "val", "test", None))}
            | rng.choice((owner(rng), {"patient_id": f"c/p{rng.randrange(7)}"}))
            for _ in range(hinted)
        ]
        made[name] = release(name, picture, stated, hints)
    return made


def release(name, picture, stated, hinted):
    def frame(rows, schema, file):
        given = [row | {"source": name, "file": file} for row in rows]
        return conform(pl.DataFrame(given, schema=schema), schema)

    used = {row["row"] for row in (*stated, *hinted)}
    # as every source does: a row of which nothing came is a reject
    lost = [{"row": row, "key": "k", "code": "bad-value", "message": "m"}
            for row in range(1, ROWS + 1) if row not in used]  # fmt: skip
    files = [ReleaseFile(name, "facts.csv", ROWS, "-")]
    if picture:
        files.append(ReleaseFile(name, "images.csv", len(picture), "-"))
    return SourceTables(
        images=frame(picture, IMAGES, "images.csv"),
        annotations=frame(stated, SOURCE_ANNOTATIONS, "facts.csv"),
        hints=frame(hinted, SPLIT_HINTS, "facts.csv"),
        rejects=frame(lost, REJECTS, "facts.csv"),
        files=tuple(files),
    )


def in_place_of_sources(module, made):
    sources = {name: Release(name, tables) for name, tables in made.items()}
    if module == "catalog":
        opened = {name: (source, Path()) for name, source in sources.items()}
        return mock.patch("imaxray.curation.catalog.open_release", lambda name, _: opened[name])
    return mock.patch("imaxray.curation.card.described_source", lambda name, _: sources[name])


def build(made, *, seed=0, order=NAMES):
    with in_place_of_sources("catalog", made):
        roots = {name: Path() for name in order}
        return build_catalog(roots, CONFIG, seed=seed, verify="none")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(releases())
def test_rows_in_are_kept_plus_rejected_and_patients_stay_whole(made):
    catalog = build(made)
    account = {(s, f): (i, k, r) for s, f, i, k, r in catalog.account.iter_rows()}
    assert account.keys() == {(f.source, f.file) for t in made.values() for f in t.files}
    for tables in made.values():
        for file in tables.files:
            rows_in, kept, rejected = account[file.source, file.file]
            assert rows_in == file.rows == kept + rejected
    for frame in (catalog.images, catalog.entries):
        per_patient = frame.group_by("patient_id").agg(pl.col("split").n_unique().alias("n"))
        assert (per_patient["n"] == 1).all()
    assert catalog.images["split"].is_in(["train", "val", "test"]).all()
    # an image, a patient or a study that any release calls a test one is in the test split
    named = pl.concat([t.hints for t in made.values()]).filter(pl.col("split") == "test")
    for key in ("image_id", "study_id", "patient_id"):
        held = catalog.images.filter(pl.col(key).is_in(named[key].drop_nulls().to_list()))
        assert (held["split"] == "test").all()
    known = set(catalog.annotations["image_id"])
    assert known <= set(catalog.images["image_id"])
    for fact in catalog.annotations.filter(pl.col("kind") == "region").iter_rows(named=True):
        for x1, y1, x2, y2 in fact["boxes"]:
            assert 0 <= x1 < x2 <= 100 and 0 <= y1 < y2 <= 80


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(
    releases(), st.integers(1, 3), st.integers(1, 3), st.one_of(st.none(), st.floats(1, 4)),
    st.integers(0, 3),
)  # fmt: skip
def test_dmax_has_the_volume_of_imax_task_by_task(made, min_tasks, cap, dose, seed):
    catalog = build(made)
    try:
        config = ImaxConfig(min_tasks=min_tasks, max_entries_per_task=cap)
        imax, _ = select_imax(catalog, config)
    except ImaxrayError:
        return  # no image is dense enough
    dmax, report = match_dmax(catalog, imax, DmaxConfig(tasks_per_image=dose), seed=seed)
    volume = [
        dict(arm.split("train").group_by("task").len().sort("task").iter_rows())
        for arm in (imax, dmax)
    ]
    assert volume[0] == volume[1] == {t: n for t, n in report.volume.items() if n}
    train = dmax.split("train")
    assert train["entry_id"].is_unique().all()
    assert set(train["entry_id"]) <= set(catalog.split("train")["entry_id"])
    for split in ("val", "test"):
        assert dmax.split(split).equals(imax.split(split))
    held_out = set(catalog.images.filter(pl.col("split") != "train")["patient_id"])
    assert not held_out & set(train["patient_id"])
    if dose is None:
        assert report.dmax.tasks_per_image <= report.imax.tasks_per_image
        assert report.dmax.images >= report.imax.images


def written(made, folder, order):
    catalog = build(made, seed=3, order=order)
    arms = {"catalog": catalog}
    try:
        arms["imax"], _ = select_imax(catalog, ImaxConfig(min_tasks=1, max_entries_per_task=2))
        arms["dmax"], _ = match_dmax(catalog, arms["imax"], seed=3)
    except ImaxrayError:
        pass  # nothing to select from
    digests = {}
    for name, tables in arms.items():
        with in_place_of_sources("card", made):
            write_dataset(tables, folder / name, config={}, seed=3, role=name)
        for path in sorted(p for p in (folder / name).rglob("*") if p.is_file()):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            digests[path.relative_to(folder).as_posix()] = digest
    return digests


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(releases())
def test_the_same_seed_gives_the_same_bytes(tmp_path_factory, made):
    folders = [tmp_path_factory.mktemp("data") for _ in range(2)]
    # in whatever order the releases are named
    first, again = written(made, folders[0], NAMES), written(made, folders[1], NAMES[::-1])
    assert first == again
