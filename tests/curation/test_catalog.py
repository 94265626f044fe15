"""Tests the catalog: join, splits, row counts, IMAX, DMAX and the dataset folder."""

import os
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from imaxray.curation import (
    DmaxConfig,
    ImaxConfig,
    SplitConfig,
    build_catalog,
    density,
    match_dmax,
    open_dataset,
    select_imax,
    write_dataset,
)
from imaxray.curation.account import close_account
from imaxray.curation.joining.join import join_annotations
from imaxray.curation.joining.splits import assign_splits
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources import ReleaseFile, SourceTables


@pytest.fixture(scope="module")
def catalog(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


def images(*rows):
    return conform(
        pl.DataFrame(
            [{"image_id": f"c/{i}", "patient_id": f"c/p{p}", "study_id": f"c/s{s}", "view": view,
              "path": f"{i}.jpg", "width": 100, "height": 80, "source": "x", "file": "x.csv",
              "row": n} for n, (i, p, s, view) in enumerate(rows, start=1)]
        ),
        IMAGES,
    )  # fmt: skip


def fact(row, **values):
    given = {"kind": "label", "name": "Edema", "value": 1.0, "origin": "silver", "quality": "q",
             "source": "y", "file": "y.csv", "row": row}  # fmt: skip
    return conform(pl.DataFrame([given | values]), SOURCE_ANNOTATIONS)


def joined(*facts, rows=(("a", 1, 1, "PA"), ("b", 1, 1, "LATERAL"), ("c", 2, 2, "LATERAL"))):
    table = images(*rows)
    none = table.select("image_id", "study_id").clear()
    joined = join_annotations([SourceTables(annotations=pl.concat(facts))], table, none)
    kept, rejects = joined.annotations, joined.rejects
    return kept, pl.concat(rejects)


def test_study_facts_go_to_frontal_images():
    kept, rejects = joined(
        fact(1, study_id="c/s1"), fact(2, study_id="c/s2"), fact(3, study_id="c/s9")
    )
    assert kept["image_id"].to_list() == ["c/a"]
    assert rejects.select("row", "code").rows() == [(2, "no-frontal-image"), (3, "unknown-study")]


def test_human_beats_silver_and_repetitions_are_rejects():
    kept, rejects = joined(
        fact(1, image_id="c/a", value=0.0),
        fact(2, image_id="c/a", value=1.0, origin="human"),
        fact(3, image_id="c/a", value=0.0),
        fact(4, image_id="c/zz"),
    )
    assert kept.select("value", "origin").rows() == [(1.0, "human")]
    assert sorted(rejects.select("row", "code").rows()) == [
        (1, "superseded"), (3, "duplicate-annotation"), (4, "unknown-image"),
    ]  # fmt: skip


def test_boxes_are_cut_to_the_frame():
    region = {"image_id": "c/a", "kind": "region", "name": "n", "value": None}
    kept, rejects = joined(
        fact(1, **region, text="one", boxes=[[-5.0, 10.0, 50.0, 300.0]]),
        fact(2, **region, text="two", boxes=[[120.0, 10.0, 150.0, 20.0]]),
        fact(3, **region, text="three", boxes=[[1.0, 1.0, 2.0, 2.0], [200.0, 0.0, 300.0, 9.0]]),
    )
    assert dict(kept.select("text", "boxes").iter_rows()) == {
        "one": [[0.0, 10.0, 50.0, 80.0]],
        "three": [[1.0, 1.0, 2.0, 2.0]],
    }
    # the one of two boxes that is lost is told, though its annotation stays
    assert rejects.select("row", "code").rows() == [
        (2, "box-outside-frame"),
        (3, "box-outside-frame"),
    ]


def hint(row, split, **ids):
    given = {"split": split, "source": "x", "file": "h.csv", "row": row} | ids
    return conform(pl.DataFrame([given]), SPLIT_HINTS)


def test_test_anywhere_is_test_everywhere():
    table = images(("a", 1, 1, "PA"), ("b", 1, 2, "PA"), ("c", 2, 3, "PA"), ("d", 3, 4, "PA"))
    hints = pl.concat([
        hint(1, "train", image_id="c/a"), hint(2, "test", study_id="c/s2"),
        hint(3, "val", patient_id="c/p2"), hint(4, "train", patient_id="c/p2"),
        hint(5, "train", image_id="c/d"), hint(6, "test", image_id="c/nowhere"),
    ])  # fmt: skip
    split, used, rejects = assign_splits(table, hints, SplitConfig(), seed=0)
    assert dict(split.select("image_id", "split").iter_rows()) == {
        "c/a": "test", "c/b": "test", "c/c": "val", "c/d": "train",
    }  # fmt: skip
    assert sorted(used["row"]) == [1, 2, 3, 4, 5]
    assert rejects.select("row", "code").rows() == [(6, "unknown-image")]


def test_patients_without_a_hint_are_drawn_by_seed():
    table = images(*((str(k), k, k, "PA") for k in range(400)))
    none = SourceTables().hints
    config = SplitConfig(val=0.1, test=0.2)
    first, _, _ = assign_splits(table, none, config, seed=0)
    again, _, _ = assign_splits(table.reverse(), none, config, seed=0)
    other, _, _ = assign_splits(table, none, config, seed=1)
    assert first.sort("image_id").equals(again.sort("image_id"))
    assert not first["split"].equals(other["split"])
    share = first["split"].value_counts(normalize=True)
    assert abs(dict(share.iter_rows())["test"] - 0.2) < 0.07


def test_an_open_account_is_a_bug():
    table = images(("a", 1, 1, "PA"))
    files = (ReleaseFile("x", "x.csv", 2, "-"),)
    empty = SourceTables()
    with pytest.raises(RuntimeError, match=r"x\.csv: 2 rows in, but 1 kept and 0 rejected"):
        close_account(files, [table, empty.annotations, empty.hints], [empty.rejects])


def test_rows_in_are_kept_plus_rejected(catalog):
    for source, file, rows_in, kept, rejected in catalog.account.iter_rows():
        assert rows_in == kept + rejected and rows_in > 0, (source, file)


def test_no_patient_is_in_two_splits(catalog):
    assert catalog.images.group_by("patient_id").agg(pl.col("split").n_unique())["split"].max() == 1


def test_entries_of_all_seven_tasks_with_unique_ids(catalog):
    assert catalog.entries["task"].n_unique() == 7
    assert catalog.entries["entry_id"].is_unique().all()
    held_out = catalog.entries.filter(pl.col("split") != "train")
    assert held_out["template"].str.ends_with(".0").all()


def test_imax_takes_dense_images_whole_and_capped(catalog):
    config = ImaxConfig(min_tasks=5, max_entries_per_task=2, target_entries=60)
    train = select_imax(catalog, config)[0].split("train")
    per_image = train.group_by("image_id").agg(pl.col("task").n_unique().alias("t"), pl.len())
    assert per_image["t"].min() >= 5
    assert train.group_by("image_id", "task").len()["len"].max() <= 2
    assert 60 <= train.height < 60 + per_image["len"].max()
    everything, _ = select_imax(catalog, config.model_copy(update={"target_entries": None}))
    left = everything.split("train").join(per_image, on="image_id", how="anti")
    assert (
        left.group_by("image_id").agg(pl.col("task").n_unique())["task"].max()
        <= per_image["t"].min()
    )


def test_tasks_that_dense_images_lack_are_filled(catalog):
    """Releases that share no image with others would be left out wholly."""
    lone = catalog.split("train").filter(pl.col("task") == "vqa")["image_id"].unique()
    apart = catalog.entries.filter(
        (pl.col("task") == "vqa") | ~pl.col("image_id").is_in(lone.to_list())
    )
    torn = replace(catalog, entries=apart)
    config = ImaxConfig(min_tasks=4, max_entries_per_task=2)
    assert "vqa" not in select_imax(torn, config)[0].split("train")["task"].to_list()
    filled = select_imax(torn, config.model_copy(update={"fill_tasks": 12}))[0].split("train")
    assert 12 <= filled["task"].to_list().count("vqa") <= 13


def test_imax_without_dense_images_is_a_sentence(catalog):
    poor = replace(catalog, entries=catalog.entries.filter(pl.col("task") == "vqa"))
    with pytest.raises(ImaxrayError, match="min_tasks"):
        select_imax(poor, ImaxConfig(min_tasks=2))


@pytest.fixture(scope="module")
def imax(catalog):
    return select_imax(catalog, ImaxConfig(min_tasks=6, max_entries_per_task=1, target_entries=90))[
        0
    ]


def test_dmax_matches_volume_and_answers_and_spreads(catalog, imax):
    dmax, report = match_dmax(catalog, imax)
    assert report.imax.entries_per_task == report.dmax.entries_per_task
    assert set(report.distance.values()) == {0.0}
    assert report.dmax.images > 2 * report.imax.images
    assert report.dmax.tasks_per_image < report.imax.tasks_per_image / 2
    assert dmax.split("test").equals(imax.split("test"))
    tests = set(imax.split("test")["patient_id"])
    assert not tests & set(dmax.split("train")["patient_id"])
    assert not dmax.split("train")["entry_id"].is_duplicated().any()


def test_the_arms_are_selected_from_the_entries_alone(catalog, imax, tmp_path):
    write_dataset(imax, tmp_path / "imax", config={}, seed=0)
    opened = open_dataset(tmp_path / "imax", entries_only=True).tables
    assert opened.entries.sort("entry_id").equals(imax.entries.sort("entry_id"))
    assert opened.images.is_empty() and opened.annotations.is_empty()
    (one, told), (two, same) = match_dmax(catalog, opened), match_dmax(catalog, imax)
    assert one.entries.equals(two.entries) and told == same
    # entries that do not lie in the order of a dataset make the same arms
    mixed = replace(catalog, entries=catalog.entries.sample(fraction=1, shuffle=True, seed=3))
    three, _ = match_dmax(mixed, imax)
    assert three.entries.equals(two.entries)


def test_an_imax_of_another_catalog_is_refused(catalog, imax):
    held_out = imax.split("test")
    other = replace(catalog, entries=catalog.entries.join(held_out[:1], on="entry_id", how="anti"))
    with pytest.raises(ImaxrayError, match="selected from this catalog"):
        match_dmax(other, imax)


def test_dmax_depends_on_the_seed_only(catalog, imax):
    one, _ = match_dmax(catalog, imax, seed=4)
    two, _ = match_dmax(catalog, imax, seed=4)
    other, _ = match_dmax(catalog, imax, seed=5)
    assert one.entries.equals(two.entries) and not one.entries.equals(other.entries)


def test_every_dose_between_dmax_and_imax_is_met(catalog, imax):
    _, wide = match_dmax(catalog, imax)
    low, high = wide.dmax.tasks_per_image, wide.imax.tasks_per_image
    doses = [dose for dose in np.arange(1, 8, 0.5) if low < dose < high]
    assert len(doses) > 4
    reached = []
    for dose in doses:
        tables, found = match_dmax(catalog, imax, DmaxConfig(tasks_per_image=dose))
        assert found.dmax.tasks_per_image == pytest.approx(dose, abs=0.4)  # it has few images
        assert found.volume == wide.volume and not any(found.distance.values())
        reached.append(tables.split("train")["image_id"].n_unique())
    assert reached == sorted(reached, reverse=True) and len(set(reached)) == len(reached)


def test_a_dataset_folder_opens_verifies_and_loads(catalog, imax, tmp_path):
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_CACHE"] = str(tmp_path / "cache")
    from datasets import load_dataset

    write_dataset(imax, tmp_path / "imax", config={"a": 1}, seed=7)
    data = open_dataset(tmp_path / "imax")
    assert data.tables.entries.sort("entry_id").equals(imax.entries.sort("entry_id"))
    assert data.manifest["seed"] == 7 and data.verify() == []
    assert density(data.tables).entries == imax.split("train").height
    assert data.image_path(imax.images["image_id"][0]).is_file()
    loaded = load_dataset(str(tmp_path / "imax"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == imax.split("train").height
    assert loaded["test"][0]["boxes"] is not None
    facts = load_dataset(str(tmp_path / "imax"), "annotations", cache_dir=str(tmp_path / "cache"))
    assert facts["train"].num_rows == imax.annotations.height
    path = tmp_path / "imax" / "images.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    assert data.verify() == ["images.parquet"]


def test_a_foreign_folder_is_neither_opened_nor_overwritten(imax, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ImaxrayError, match="dataset folder"):
        open_dataset(tmp_path)
    with pytest.raises(ImaxrayError, match="other files"):
        write_dataset(imax, tmp_path, config={}, seed=0)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_no_release_is_a_sentence():
    with pytest.raises(ImaxrayError, match="at least one release"):
        build_catalog({})
