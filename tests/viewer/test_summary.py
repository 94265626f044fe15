"""Tests the summary of a dataset: what it says of an image, and that a kept one is not stale."""

import json
import os
from dataclasses import replace

import polars as pl
import pytest

from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.viewer import summary as summaries
from imaxray.viewer.index import index_images
from imaxray.viewer.query import Finder, read_filter
from imaxray.viewer.snippets import python_of_filter
from imaxray.viewer.subject import open_subject
from imaxray.viewer.summary import summarise, summary_of
from imaxray.viewer.viewed import open_viewed


@pytest.fixture(scope="module")
def folder(tmp_path_factory, phantom_releases):
    """A dataset of which four train images have no annotation, but one made entry each."""
    folder = tmp_path_factory.mktemp("summary") / "data"
    tables = build_catalog(phantom_releases, verify=False)
    train = tables.images.filter(split="train")["image_id"].to_list()
    bare = train[:4]
    made = tables.entries.filter(split="train").head(4).with_columns(
        pl.Series("image_id", bare),
        pl.Series("entry_id", [f"{number:016x}" for number in range(4)]),
        pl.Series("quality", ["derived/rule", "pseudo/model", None, "silver/only-here"]),
        pl.Series("sources", [["derived"], ["pseudo"], ["pseudo"], ["elsewhere"]]),
    ).drop("is_pseudo")  # fmt: skip
    others = ~pl.col("image_id").is_in(bare)
    entries = pl.concat([tables.entries.filter(others).drop("is_pseudo"), made])
    annotations = tables.annotations.filter(others)
    write_dataset(
        replace(tables, annotations=annotations, entries=entries), folder, config={}, seed=0
    )
    return folder, bare


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(summaries.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "viewer"


def found(folder, *items):
    index = index_images(summarise(folder))
    finder = Finder(index)
    numbers = finder.find(read_filter(items, index), {})
    return set(index.table["image_id"].gather(numbers))


def test_images_that_have_made_entries_only_are_found(folder):
    path, (derived, pseudo, ungraded, silver) = folder
    assert found(path, ("origin", "derived")) == {derived}
    assert found(path, ("origin", "pseudo")) == {pseudo, ungraded}
    assert silver in found(path, ("origin", "silver"))
    assert found(path, ("quality", "only-here")) == {silver}
    assert found(path, ("quality", "rule")) == {derived}
    assert found(path, ("from", "elsewhere")) == {silver}
    assert found(path, ("from", "pseudo")) == {pseudo, ungraded}


def test_the_code_that_is_copied_finds_the_same_images(folder):
    path, _ = folder
    data = open_viewed("data", path, open_subject([path]))
    for name, facet in data.index.facets.items():
        for value in facet.values:
            wanted = read_filter([(name, value)], data.index)
            numbers = data.finder.find(wanted, {})
            space = {}
            exec(python_of_filter(data, wanted, "marks.jsonl"), space)
            same = data.index.table["image_id"].gather(numbers).to_list()
            assert space["images"]["image_id"].to_list() == same, (name, value)


def test_the_counts_are_those_of_the_tables(folder):
    path, bare = folder
    tables = open_dataset(path).tables
    table = summarise(path).table
    assert table["image_id"].equals(tables.images["image_id"])
    assert table["annotations"].sum() == tables.annotations.height
    assert table["entries"].sum() == tables.entries.height
    tasks = dict(tables.entries.group_by("image_id").agg(pl.col("task").n_unique()).iter_rows())
    assert dict(table.select("image_id", "tasks_count").iter_rows()) == {
        image: tasks.get(image, 0) for image in table["image_id"]
    }
    assert table.filter(pl.col("image_id").is_in(bare))["annotations"].to_list() == [0] * 4


def test_a_large_dataset_is_summarised_once(folder, cache, monkeypatch):
    path, _ = folder
    first = summary_of(path, "a" * 64, 400_000)
    (kept,) = cache.glob("*.arrow")
    assert kept.stat().st_mode & 0o077 == 0
    assert not list(cache.glob("*.part"))
    with monkeypatch.context() as patch:
        patch.setattr(summaries, "summarise", None)
        again = summary_of(path, "a" * 64, 400_000)
    assert again.table.equals(first.table) and again.values == first.values
    summary_of(path, "b" * 64, 400_000)  # another content
    assert len(list(cache.glob("*.arrow"))) == 2


def test_a_small_dataset_is_not_kept(folder, cache):
    summary_of(folder[0], "a" * 64, 10)
    assert not cache.exists()


def test_nothing_is_kept_if_the_user_wants_it_so(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(summaries.CACHE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    summary_of(folder[0], "a" * 64, 400_000)
    assert not (tmp_path / "xdg").exists()
    monkeypatch.delenv(summaries.CACHE)
    summary_of(folder[0], "a" * 64, 400_000)
    assert list((tmp_path / "xdg" / "imaxray" / "viewer").glob("*.arrow"))


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "values", "no json", "list", "missing"])
def test_a_damaged_summary_is_made_anew(folder, cache, damage):
    path, _ = folder
    first = summary_of(path, "a" * 64, 400_000)
    (kept,) = cache.glob("*.arrow")
    about = kept.with_suffix(".json")
    content = bytearray(kept.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        kept.write_bytes(content)
    elif damage == "cut":
        kept.write_bytes(content[:-50])
    elif damage == "gone":
        about.unlink()
    elif damage == "missing":
        kept.unlink()
    elif damage == "no json":
        about.write_text("{")
    else:
        told = json.loads(about.read_text())
        told["values"] = [] if damage == "list" else {**told["values"], "task": 7}
        about.write_text(json.dumps(told))
    again = summary_of(path, "a" * 64, 400_000)
    assert again.table.equals(first.table) and again.values == first.values


def test_only_the_latest_summaries_are_kept(folder, cache):
    for number in range(11):
        summary_of(folder[0], f"{number:064x}", 400_000)
        for k, file in enumerate(sorted(cache.glob("*.arrow"), key=os.path.getmtime)):
            os.utime(file, (k, k))
    assert len(list(cache.glob("*.arrow"))) == 8 == len(list(cache.glob("*.json")))


def test_a_folder_that_cannot_be_written_only_costs_time(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(summaries.CACHE, str(tmp_path / "file"))
    assert summary_of(folder[0], "a" * 64, 400_000).table.height
