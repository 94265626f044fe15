"""Tests the summary of a dataset: what it says of an image, and that a kept one is not stale."""

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from imaxray._common.files import write_parquet
from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.viewer import library as libraries
from imaxray.viewer import viewed
from imaxray.viewer.finding import kept as keeping
from imaxray.viewer.finding import summary as summaries
from imaxray.viewer.finding.index import index_images
from imaxray.viewer.finding.kept import keep_summary, kept_summary
from imaxray.viewer.finding.query import Finder, read_filter
from imaxray.viewer.finding.rows import KeyedRows
from imaxray.viewer.finding.summary import summarise, without_facts
from imaxray.viewer.image.snippets import python_of_filter
from imaxray.viewer.library import Library
from imaxray.viewer.opening.subject import open_subject
from imaxray.viewer.viewed import complete, open_at_once, open_viewed


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
    monkeypatch.setenv(keeping.CACHE, str(tmp_path / "cache"))
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


@pytest.fixture
def large(monkeypatch):
    """Every dataset counts as a large one, which is read in the background."""
    monkeypatch.setattr(viewed, "LARGE", 1)
    monkeypatch.setattr(libraries, "LARGE", 1)


def test_a_table_read_in_parts_is_summarised_as_a_whole_one(folder, monkeypatch):
    path, _ = folder
    whole = summarise(path)
    shares = []
    monkeypatch.setattr(summaries, "_PART", 777)
    parts = summarise(path, shares.append)
    assert parts.table.equals(whole.table) and parts.values == whole.values
    assert len(shares) > 3 and shares == sorted(shares) and shares[-1] == 1


def test_facts_of_an_image_that_are_not_beside_each_other_are_united(folder, tmp_path):
    path, _ = folder
    other = tmp_path / "data"
    shutil.copytree(path, other)
    table = pl.read_parquet(other / "annotations.parquet", glob=False)
    write_parquet(other / "annotations.parquet", table.sample(fraction=1, shuffle=True, seed=1))
    assert summarise(other).table.equals(summarise(path).table)


def test_before_the_tables_are_read_nothing_is_said_of_them(folder):
    path, _ = folder
    early, whole = without_facts(path), summarise(path)
    assert early.table.columns == list(early.table.columns)
    assert set(early.table.columns) == set(whole.table.columns)
    same = ["number", "image_id", "split", "view", "age", "path"]
    assert early.table.select(same).equals(whole.table.select(same))
    assert early.table.select("task", "entries", "annotations", "origin").sum().row(0) == (0,) * 4


def test_a_large_dataset_is_summarised_once(folder, cache, large, monkeypatch):
    path, _ = folder
    subject = open_subject([path])
    early = open_at_once("data", path, subject)
    assert not early.whole
    first = complete(early, subject)
    assert first.whole
    (kept,) = cache.glob("*.arrow")
    assert kept.stat().st_mode & 0o077 == 0
    assert not list(cache.glob("*.part"))
    monkeypatch.setattr(viewed, "summarise", None)
    again = open_at_once("data", path, subject)
    assert again.whole and again.index.table.equals(first.index.table)
    assert kept_summary("b" * 64) is None  # another content


def test_a_small_dataset_is_not_kept(folder, cache):
    assert open_viewed("data", folder[0], open_subject([folder[0]])).whole
    assert not cache.exists()


def test_nothing_is_kept_if_the_user_wants_it_so(folder, tmp_path, monkeypatch):
    made = summarise(folder[0])
    monkeypatch.setenv(keeping.CACHE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    keep_summary(made, "a" * 64)
    assert not (tmp_path / "xdg").exists()
    monkeypatch.delenv(keeping.CACHE)
    keep_summary(made, "a" * 64)
    assert list((tmp_path / "xdg" / "imaxray" / "viewer").glob("*.arrow"))


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "values", "no json", "list", "missing"])
def test_a_damaged_summary_is_not_used(folder, cache, damage):
    keep_summary(summarise(folder[0]), "a" * 64)
    assert kept_summary("a" * 64) is not None
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
    assert kept_summary("a" * 64) is None


def test_other_files_in_the_cache_are_not_removed(folder, cache):
    cache.mkdir(parents=True)
    mine = [cache / f"mine-{n}{ending}" for n in range(12) for ending in (".arrow", ".json")]
    for path in mine:
        path.write_text("mine")
    keep_summary(summarise(folder[0]), "a" * 64)
    assert all(path.read_text() == "mine" for path in mine)


def test_only_the_latest_summaries_are_kept(folder, cache):
    made = summarise(folder[0])
    for number in range(11):
        keep_summary(made, f"{number:064x}")
        for k, file in enumerate(sorted(cache.glob("*.arrow"), key=os.path.getmtime)):
            os.utime(file, (k, k))
    assert len(list(cache.glob("*.arrow"))) == 8 == len(list(cache.glob("*.json")))


def test_a_folder_that_cannot_be_written_only_costs_time(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(keeping.CACHE, str(tmp_path / "file"))
    keep_summary(summarise(folder[0]), "a" * 64)
    assert kept_summary("a" * 64) is None


@pytest.fixture
def slow(folder, cache, large, monkeypatch, tmp_path):
    """A library whose tables are read when ``go`` is set, and ``go``."""
    go = threading.Event()

    def waiting(*args):
        go.wait(20)
        return summarise(*args)

    monkeypatch.setattr(viewed, "summarise", waiting)
    library = Library(open_subject([folder[0]]), tmp_path / "marks.jsonl")
    yield library, go
    go.set()
    library.dataset("", whole=True)


def test_the_first_page_does_not_wait_for_the_tables(slow):
    testclient = pytest.importorskip("starlette.testclient", reason="the viewer needs view")
    from imaxray.viewer.application import make_application

    library, go = slow
    app = make_application(library, token="t", port=1)
    with testclient.TestClient(app, base_url="http://127.0.0.1:1") as client:
        client.headers["authorization"] = "Bearer t"
        about = client.get("/api/about").json()
        assert about["reading"] == {"share": 0, "seconds_left": None}
        assert set(about["facets"]) == {"split", "view"}
        page = client.get("/api/images", params={"split": "test", "sort": "id"}).json()
        assert page["total"] and page["images"][0]["entries"] is None
        assert page["images"][0]["task"] is None
        assert set(client.get("/api/facets").json()["facets"]) == {"split", "view"}
        asked = pl.read_parquet(library.subject.datasets["data"] / "entries" / "test.parquet")
        one = asked["image_id"][0]
        assert client.get("/api/image", params={"id": one}).json()["entries"]
        with ThreadPoolExecutor(1) as beside:
            waiting = beside.submit(client.get, "/api/images", params={"task": "rec"})
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            go.set()
            filtered = waiting.result(timeout=20).json()
        assert 0 < filtered["total"] < about["images"]
        assert all("rec" in row["task"] for row in filtered["images"])
        later = client.get("/api/about").json()
        assert later["reading"] is None and "task" in later["facets"]


def test_a_fault_while_the_tables_are_read_is_told_to_whoever_waits(slow, monkeypatch):
    library, go = slow
    said = []  # not caplog, since other packages in this process may disable loggers
    log = SimpleNamespace(error=lambda text, *args: said.append(text % args))
    monkeypatch.setattr(libraries, "_log", log)
    assert not library.dataset("").whole
    monkeypatch.setattr(viewed, "index_images", None)
    go.set()
    with pytest.raises(ImaxrayError, match="Expected to read the tables"):
        library.dataset("", whole=True)
    assert said == ["reading the tables: TypeError"]
    monkeypatch.undo()
    library._open.clear()


def test_a_dataset_that_is_built_anew_is_opened_again(folder, tmp_path):
    path, _ = folder
    tables = open_dataset(path).tables
    write_dataset(tables, tmp_path / "data", config={}, seed=0)
    library = Library(open_subject([tmp_path / "data"]), tmp_path / "marks.jsonl")
    first = library.dataset("")
    assert library.dataset("") is first
    one = tables.entries.filter(split="test")["image_id"][0]
    write_dataset(
        replace(tables, entries=tables.entries.filter(pl.col("image_id") != one).drop("is_pseudo")),
        tmp_path / "data", config={}, seed=0,
    )  # fmt: skip
    second = library.dataset("")
    assert second.sha256 != first.sha256
    assert second.entries(second.image(one)).height == 0
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(ImaxrayError, match="Expected a dataset folder"):
        library.dataset("")


def test_a_table_that_is_edited_while_it_is_viewed_is_told(folder, tmp_path):
    shutil.copytree(folder[0], tmp_path / "data")
    library = Library(open_subject([tmp_path / "data"]), tmp_path / "marks.jsonl")
    library.dataset("")
    entries = tmp_path / "data" / "entries" / "test.parquet"
    write_parquet(entries, pl.read_parquet(entries, glob=False).head(3))
    with pytest.raises(ImaxrayError, match=r"entries/test\.parquet is missing or was changed"):
        library.dataset("")


def test_rows_of_a_key_are_those_that_a_search_finds(tmp_path):
    rng = np.random.default_rng(3)
    keys = [None if k == 7 else f"k{k}" for k in rng.integers(0, 300, 20_000)]
    table = pl.DataFrame(
        {"key": keys, "n": range(20_000)}, schema={"key": pl.String, "n": pl.Int64}
    )
    write_parquet(tmp_path / "t.parquet", table)
    rows = KeyedRows(tmp_path / "t.parquet", "key")
    for wanted in (["k1"], ["k1", "k2"], ["k7"], ["none"], [], [f"k{k}" for k in range(250)]):
        found = rows.of(wanted, ["n"])
        assert found["n"].to_list() == table.filter(pl.col("key").is_in(wanted))["n"].to_list()


def test_rows_of_an_empty_table(tmp_path):
    write_parquet(tmp_path / "t.parquet", pl.DataFrame(schema={"key": pl.String, "n": pl.Int64}))
    assert KeyedRows(tmp_path / "t.parquet", "key").of(["a"], ["key", "n"]).rows() == []
