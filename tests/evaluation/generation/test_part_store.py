"""Tests stores whose tables grow part by part."""

import json

import polars as pl
import pytest

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import PartStore


class Numbers(PartStore):
    stem = "numbers"
    tables = ("odd", "even")
    schema = pl.Schema({"id": pl.String, "kind": pl.Enum(("a", "b"))})
    what = "numbers"

    def finish(self):
        self._close({"odd": self.rows(["one"]), "even": self.rows(["two"])})


def rows(name):
    return pl.DataFrame({"id": [name], "kind": ["a"]}, schema=Numbers.schema)


def test_parts_become_tables_and_the_manifest_keeps_the_first_start(tmp_path):
    store = Numbers(tmp_path / "out", {"seed": (1, 2)}, {"versions": "1"})
    store.add("one", rows("1"))
    again = Numbers(tmp_path / "out", {"seed": [1, 2]}, {"versions": "2"})
    assert again.missing(["one", "two"]) == ["two"] and not again.finished
    again.add("two", rows("2"))
    assert again.rows()["id"].to_list() == ["1", "2"]
    again.add_to_manifest({"more": 3})
    assert again.manifest() == {"identity": {"seed": [1, 2]}, "versions": "1", "more": 3}
    again.finish()
    assert again.finished and not again.parts.exists()
    assert again.table().equals(rows("2")) and again.table("odd").equals(rows("1"))
    # the numbers of an Enum are no content
    assert pl.read_parquet_schema(tmp_path / "out" / "odd.parquet")["kind"] == pl.String
    assert json.loads((tmp_path / "out" / "numbers.json").read_text())["more"] == 3


def test_other_tables_are_refused(tmp_path):
    Numbers(tmp_path / "out", {"seed": 1})
    with pytest.raises(
        ImaxrayError, match=r"to hold numbers of the same .* seed is 1 there, 2 now"
    ):
        Numbers(tmp_path / "out", {"seed": 2})
    (tmp_path / "odd.parquet").touch()
    with pytest.raises(ImaxrayError, match=r"of a known origin .* odd.parquet is there without"):
        Numbers(tmp_path, {"seed": 1})


@pytest.mark.parametrize("spoil", ["flipped", "cut", "without digest"])
def test_a_changed_part_is_made_again(tmp_path, spoil):
    store = Numbers(tmp_path, {})
    for name in ("one", "two"):
        store.add(name, rows(name))
    part = store.parts / "one.parquet"
    content = bytearray(part.read_bytes())
    if spoil == "flipped":
        content[len(content) // 2] ^= 1
    part.write_bytes(content[: len(content) // 2] if spoil == "cut" else content)
    if spoil == "without digest":
        part.with_suffix(".sha256").unlink()
    assert store.missing(["one", "two"]) == ["one"]
    assert store.rows()["id"].to_list() == ["two"]
    store.add("one", rows("one"))
    assert store.missing(["one", "two"]) == []
