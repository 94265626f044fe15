"""Tests that no test patient is in train, no foreign folder is deleted and no bytes vary."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.curation import (
    CurationConfig,
    ImaxConfig,
    SplitConfig,
    Tables,
    build_catalog,
    match_dmax,
    open_dataset,
    select_imax,
    write_dataset,
)
from imaxray.curation.account import close_account
from imaxray.curation.joining.join import join_annotations, join_images
from imaxray.curation.joining.splits import assign_splits
from imaxray.curation.joining.verify import verify_images
from imaxray.errors import ImaxrayError
from imaxray.phantom import write_phantom
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, SOURCE_ANNOTATIONS, SPLIT_HINTS, empty
from imaxray.sources import ReleaseFile, SourceTables

ROW = {"source": "s", "file": "images.csv"}


def frame(rows, schema):
    names = set().union(*rows) if rows else set()
    assert names <= set(schema.names())
    return pl.DataFrame(rows, schema=schema)


def image(row, image_id, patient, study=None, **more):
    given = {"image_id": image_id, "patient_id": patient, "study_id": study, "path": "x.png",
             "width": 100, "height": 80, "view": "PA", "row": row}  # fmt: skip
    return given | ROW | more


def hint(row, split, **ids):
    return {"split": split, "source": "s", "file": "split.csv", "row": row} | ids


def label(row, image_id, **more):
    given = {"image_id": image_id, "kind": "label", "name": "Edema", "value": 1.0, "row": row}
    return given | {"origin": "silver", "quality": "q", "source": "s", "file": "labels.csv"} | more


class Fake:
    """A source whose release is a table in memory."""

    def __init__(self, tables):
        self.tables = tables

    def check(self, root):
        return [file.file for file in self.tables.files]

    def read_with(self, root, pool):
        return self.tables


@pytest.fixture
def built(monkeypatch, tmp_path):
    def build(tables, **options):
        monkeypatch.setattr(
            "imaxray.curation.catalog.open_release", lambda name, path: (Fake(tables), path)
        )
        return build_catalog({"s": tmp_path}, verify=False, **options)

    return build


def test_a_test_hint_on_a_missing_image_still_holds_for_its_patient(built, tmp_path):
    (tmp_path / "here.png").touch()
    images = [
        image(1, "c/gone", "c/p1", path="gone.png"),
        image(2, "c/here", "c/p1", path="here.png"),
        image(3, "c/lost", "c/p2", path="lost.png"),
    ]
    hints = [
        hint(1, "test", image_id="c/gone"),
        hint(2, "train", image_id="c/here"),
        hint(3, "test", image_id="c/lost"),
        hint(4, "test", image_id="c/never"),
    ]
    tables = SourceTables(
        images=frame(images, IMAGES),
        hints=frame(hints, SPLIT_HINTS),
        files=(ReleaseFile("s", "images.csv", 3, "-"), ReleaseFile("s", "split.csv", 4, "-")),
    )
    catalog = built(tables, config=CurationConfig(splits=SplitConfig(val=0, test=0)))
    assert catalog.images.select("image_id", "split").rows() == [("c/here", "test")]
    assert catalog.account.select("file", "kept", "rejected").rows() == [
        ("images.csv", 1, 2), ("split.csv", 2, 2),
    ]  # fmt: skip
    codes = catalog.rejects.filter(pl.col("file") == "split.csv").select("row", "code").rows()
    assert codes == [(3, "image-rejected"), (4, "unknown-image")]


@pytest.mark.parametrize("path", ["../out.png", "link.png", "folder/out.png"])
def test_a_path_that_leaves_the_release_is_a_reject(built, tmp_path, path):
    (tmp_path / "in.png").touch()
    (tmp_path.parent / "out.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path.parent / "out.png")
    (tmp_path / "folder").symlink_to(tmp_path.parent)
    images = [image(1, "c/a", "c/p", path="in.png"), image(2, "c/b", "c/p", path=path)]
    tables = SourceTables(
        images=frame(images, IMAGES),
        annotations=frame([label(1, "c/a"), label(2, "c/b")], SOURCE_ANNOTATIONS),
        files=(ReleaseFile("s", "images.csv", 2, "-"), ReleaseFile("s", "labels.csv", 2, "-")),
    )
    catalog = built(tables)
    assert catalog.images["image_id"].to_list() == ["c/a"]
    assert catalog.rejects.select("file", "row", "code").rows() == [
        ("images.csv", 2, "path-outside-release"), ("labels.csv", 2, "image-rejected"),
    ]  # fmt: skip


def test_the_first_row_of_an_image_wins():
    both = SourceTables(images=frame([image(1, "c/a", "c/p"), image(2, "c/a", "c/q")], IMAGES))
    kept, rejects = join_images([both])
    assert kept["patient_id"].to_list() == ["c/p"]
    assert pl.concat(rejects).select("row", "code").rows() == [(2, "duplicate-image")]


@pytest.mark.parametrize(
    ("weak", "strong"), [("silver", "human"), ("pseudo", "silver"), ("pseudo", "human")]
)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_stronger_origin_stays_whatever_the_order_and_value(weak, strong, value):
    rows = [label(1, "c/a", origin=weak), label(2, "c/a", origin=strong, value=value)]
    table = frame(rows, SOURCE_ANNOTATIONS)
    images = frame([image(1, "c/a", "c/p")], IMAGES)
    joined = join_annotations([SourceTables(annotations=table)], images, images.clear())
    kept, rejects = joined.annotations, joined.rejects
    assert kept.select("origin", "value").rows() == [(strong, value)]
    assert pl.concat(rejects)["row"].to_list() == [1]


PATIENT_OF = {f"c/{k}": f"c/p{k // 2}" for k in range(8)}
IDS = st.sampled_from(sorted(PATIENT_OF))
SPLIT = st.sampled_from(["train", "val", "test", None])


@settings(max_examples=100, deadline=None)
@given(
    present=st.sets(IDS, min_size=1),
    hints=st.lists(st.tuples(st.sampled_from(["image_id", "study_id", "patient_id"]), IDS, SPLIT)),
    facts=st.lists(st.tuples(IDS, st.booleans(), st.sampled_from([0.0, 1.0])), max_size=12),
    seed=st.integers(0, 3),
)
def test_accounts_close_and_test_patients_stay_out_of_train(present, hints, facts, seed):
    every = [image(n, i, p, f"{p}/s{i}") for n, (i, p) in enumerate(PATIENT_OF.items(), 1)]
    table = frame(every, IMAGES)
    good = table.filter(pl.col("image_id").is_in(sorted(present)))
    bad = table.join(good, on="image_id", how="anti")
    refer = {
        "image_id": lambda i: i,
        "study_id": lambda i: f"{PATIENT_OF[i]}/s{i}",
        "patient_id": PATIENT_OF.get,
    }
    rows = [hint(n, s, **{by: refer[by](i)}) for n, (by, i, s) in enumerate(hints, 1)]
    split, used, unused = assign_splits(
        good, frame(rows, SPLIT_HINTS), SplitConfig(), seed=seed, dropped=bad
    )
    settled = dict(split.select("patient_id", "split").iter_rows())
    assert split.select("patient_id", "split").unique().height == len(settled)
    assert split["image_id"].to_list() == good["image_id"].to_list()
    for patient, got in settled.items():
        said = [s for _, i, s in hints if PATIENT_OF[i] == patient and s]
        if said:
            assert got == next(s for s in ("test", "val", "train") if s in said)

    stated = [
        label(n, None if by_study else i, study_id=refer["study_id"](i) if by_study else None,
              value=value) for n, (i, by_study, value) in enumerate(facts, 1)
    ]  # fmt: skip
    source = SourceTables(annotations=frame(stated, SOURCE_ANNOTATIONS))
    joined = join_annotations([source], good, bad)
    kept, rejects = joined.annotations, joined.rejects
    lost = [unused, *rejects, _as_rejects(bad)]
    files = tuple(
        ReleaseFile("s", name, count, "-")
        for name, count in (
            ("images.csv", len(every)), ("split.csv", len(rows)), ("labels.csv", len(stated))
        )
    )  # fmt: skip
    account = close_account(files, [split, kept, used], lost)
    assert account["rows_in"].sum() == len(every) + len(rows) + len(stated)


def _as_rejects(images):
    return images.select(
        "source", "file", "row", pl.col("image_id").alias("key"),
        pl.lit("missing-image").alias("code"), pl.lit("-").alias("message"),
    )  # fmt: skip


def some_tables():
    return Tables(images=empty(IMAGES), annotations=empty(ANNOTATIONS), entries=empty(ENTRIES))


@pytest.mark.parametrize("text", ['{"name": "a web extension"}', "[]", "no json"])
def test_a_folder_with_someone_elses_manifest_is_left_alone(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "precious").touch()
    with pytest.raises(ImaxrayError, match="other files"):
        write_dataset(some_tables(), tmp_path, config={}, seed=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "precious"]


def test_a_file_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "data").write_text("keep")
    with pytest.raises(ImaxrayError, match="but there is a file"):
        write_dataset(some_tables(), tmp_path / "data", config={}, seed=0)
    assert (tmp_path / "data").read_text() == "keep"


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    with pytest.raises(ImaxrayError, match="name a folder inside the current one"):
        write_dataset(some_tables(), Path(), config={}, seed=0)
    write_dataset(some_tables(), Path("inner"), config={}, seed=0)
    assert open_dataset(tmp_path / "data" / "inner").verify() == []
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_data_set_is_replaced_whole(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    write_dataset(some_tables(), folder, config={}, seed=1)
    (folder / "stray.txt").touch()
    write_dataset(some_tables(), folder, config={}, seed=2)
    assert open_dataset(folder).manifest["seed"] == 2
    assert (folder / "stray.txt").exists()  # the user's
    assert [p.name for p in tmp_path.iterdir()] == ["data"]

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("imaxray.curation.card.write_card", killed)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(some_tables(), folder, config={}, seed=3)
    assert open_dataset(folder).manifest["seed"] == 2


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("roots.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text("{")),
        ("manifest.json", lambda path: path.write_text(path.read_text().replace("seed", "sead"))),
        ("images.parquet", lambda path: pl.DataFrame({"z": [1]}).write_parquet(path)),
        ("annotations.parquet", lambda path: path.write_bytes(b"PAR1")),
        ("entries/val.parquet", lambda path: path.unlink()),
    ],
)
def test_damage_is_a_sentence(tmp_path, name, spoil):
    write_dataset(some_tables(), tmp_path / "data", config={}, seed=0)
    spoil(tmp_path / "data" / name)
    with pytest.raises(ImaxrayError, match="dataset folder"):
        open_dataset(tmp_path / "data")


def test_an_unknown_image_or_root_is_a_sentence(tmp_path):
    images = frame([image(1, "c/a", "c/p")], IMAGES)
    tables = Tables(images=images, annotations=empty(ANNOTATIONS), entries=empty(ENTRIES))
    write_dataset(tables, tmp_path / "data", config={}, seed=0)
    data = open_dataset(tmp_path / "data")
    with pytest.raises(ImaxrayError, match="c/b"):
        data.image_path("c/b")
    with pytest.raises(ImaxrayError, match="release s"):
        data.image_path("c/a")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("hazards") / "releases"
    write_phantom(out, images=60, seed=5)
    return {p.name: p for p in out.iterdir() if p.is_dir() and p.name != "truth"}


def test_images_are_verified_alike_by_any_number_of_workers(small):
    releases = {"mimic-cxr-jpg": small["mimic-cxr-jpg"]}
    images = build_catalog(releases, verify=False).images.with_columns(
        path=pl.when(pl.int_range(pl.len()) % 7 == 3).then(pl.lit("gone.jpg")).otherwise("path")
    )
    good, bad = verify_images(images, releases, how="decode", workers=1)
    assert good.height > 20 and bad.height > 2
    parts = verify_images(images, releases, how="decode", workers=2, images_per_job=20)
    assert parts[0].equals(good) and parts[1].equals(bad)


def test_the_same_bytes_on_any_number_of_workers(small, tmp_path):
    digests = []
    for run, workers in enumerate((1, 1, 2)):
        releases = small if run else dict(reversed(small.items()))
        catalog = build_catalog(releases, seed=1, workers=workers)
        imax, _ = select_imax(catalog, ImaxConfig(min_tasks=4, target_entries=60))
        dmax, report = match_dmax(catalog, imax, seed=1)
        assert json.loads(json.dumps(report.as_dict()))["volume"] == dict(report.volume)
        for name, tables in {"catalog": catalog, "imax": imax, "dmax": dmax}.items():
            write_dataset(tables, tmp_path / f"{run}" / name, config={"k": 1}, seed=1)
        digests.append(
            {
                path.relative_to(tmp_path / f"{run}"): path.read_bytes()
                for path in sorted((tmp_path / f"{run}").rglob("*"))
                if path.is_file()
            }
        )
    assert len(digests[0]) > 20
    assert digests[0] == digests[1] == digests[2]


@pytest.mark.parametrize(("mine", "other"), [("imax[1]", "imax1"), ("*", "imax")])
def test_a_folder_with_a_name_like_a_pattern_is_read_itself(tmp_path, mine, other):
    for number, name in enumerate((other, mine), start=1):
        images = frame([image(number, f"c/{number}", "c/p")], IMAGES)
        tables = Tables(images=images, annotations=empty(ANNOTATIONS), entries=empty(ENTRIES))
        write_dataset(tables, tmp_path / name, config={}, seed=0)
    data = open_dataset(tmp_path / mine)
    assert data.tables.images["image_id"].to_list() == ["c/2"] and data.verify() == []
