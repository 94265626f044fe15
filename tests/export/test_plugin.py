"""Tests export formats of other packages: runs the code of docs/adding-an-export-format.md."""

import json

import pytest

from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.export import ExportConfig, export_dataset, list_formats
from plugins import Page

PAGE = Page("an-export-format")
(MODULE,) = PAGE.code


def test_a_format_of_another_package_is_written(plug, phantom_releases, tmp_path):
    write_dataset(
        build_catalog(phantom_releases, verify=False), tmp_path / "data", config={}, seed=0
    )
    with pytest.raises(ImaxrayError, match=r"the format as one of .*, but got pairs"):
        export_dataset(tmp_path / "data", "pairs", tmp_path / "out")
    plug(PAGE)
    assert list_formats()["pairs"] == "a reader of pairs"
    done = export_dataset(
        tmp_path / "data", "pairs", tmp_path / "out", ExportConfig(boxes="percent")
    )
    entries = open_dataset(tmp_path / "data").tables.split("train")
    lines = (tmp_path / "out" / "train.jsonl").read_text().splitlines()
    assert len(lines) == done.counts["train"]["entries"] == entries.height
    rows = [json.loads(line) for line in lines]
    assert all(row.keys() == {"image", "question", "answer"} for row in rows)
    assert not any("<box>" in row["answer"] for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("from imaxray.export import", "from no_such_package import"), "ModuleNotFoundError"),
        (("FORMAT = ChatFormat(", "FORMAT = dict("), r"no imaxray\.export\.ChatFormat"),
        (('name="pairs"', 'name="other"'), "its name is other"),
    ],
)
def test_an_unfit_format_is_one_sentence(change, message, plug):
    assert MODULE.count(change[0]) == 1
    plug(PAGE, code=MODULE.replace(*change))
    with pytest.raises(ImaxrayError, match=f"pairs.*imaxray-pairs.*{message}"):
        list_formats()


def test_an_unfit_format_blocks_only_itself(plug, phantom_releases, tmp_path):
    data = tmp_path / "data"
    write_dataset(build_catalog(phantom_releases, verify=False), data, config={}, seed=0)
    plug(PAGE, code="raise OSError('no licence')\n")
    export_dataset(data, "llava", tmp_path / "llava", ExportConfig(boxes="percent"))
    with pytest.raises(ImaxrayError, match=r"llava.*pairs, but got nothing-known"):
        export_dataset(data, "nothing-known", tmp_path / "out")
    with pytest.raises(ImaxrayError, match=r"pairs.*imaxray-pairs.*OSError: no licence"):
        export_dataset(data, "pairs", tmp_path / "out")


def test_a_format_that_raises_is_one_sentence(plug, phantom_releases, tmp_path):
    data = tmp_path / "data"
    write_dataset(build_catalog(phantom_releases, verify=False), data, config={}, seed=0)
    raising = "\nobject.__setattr__(FORMAT, 'write', lambda *_: {}['gone'])\n"
    plug(PAGE, code=MODULE + raising)
    with pytest.raises(
        ImaxrayError, match=r"imaxray-pairs, but its write failed \(KeyError: 'gone"
    ):
        export_dataset(data, "pairs", tmp_path / "out", ExportConfig(boxes="percent"))
    assert not (tmp_path / "out").exists()


def test_a_name_of_ours_stays_ours(plug, capsys):
    plug(PAGE, points={"llava": "pairs_format:FORMAT"})
    assert list_formats()["llava"] == "LLaVA and its forks"
    assert "The built-in export format llava is used" in capsys.readouterr().err
