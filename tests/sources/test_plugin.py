"""Tests sources of other packages: runs the code of docs/adding-a-source.md."""

import json

import pytest
from PIL import Image

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source, list_sources
from plugins import Page, run

PAGE = Page("a-source")
MODULE, TEST = PAGE.code


def write_release(root):
    (root / "images").mkdir(parents=True)
    Image.new("L", (64, 48)).save(root / "images" / "p1.png")
    (root / "measurements.csv").write_text(
        "image,patient,view,ctr\np1.png,1,PA,0.52\np9.png,1,PA,0.5\n"
    )
    return root


def test_a_source_of_another_package_is_found_read_and_built(plug, tmp_path):
    with pytest.raises(ImaxrayError, match="ward-ctr"):
        get_source("ward-ctr")
    plug(PAGE)
    assert "ward-ctr" in [source.name for source in list_sources()]
    catalog = build_catalog({"ward-ctr": write_release(tmp_path / "release")}, workers=2)
    assert catalog.annotations.select("image_id", "value").rows() == [("ward/p1.png", 0.52)]
    assert catalog.account.rows() == [("ward-ctr", "measurements.csv", 2, 1, 1)]
    assert catalog.entries["task"].to_list() == ["calculation"]


def test_the_command_line_lists_and_checks_it(tmp_path):
    site, root = PAGE.install(tmp_path / "site"), write_release(tmp_path / "release")
    rows = json.loads(run(site, "sources", "list", "--format", "json").stdout)
    mine = next(row for row in rows if row["name"] == "ward-ctr")
    assert mine["title"] == "Ward CTR" and mine["tasks"] == ["calculation"]
    assert "ward-ctr: Ward CTR, version 1.0" in run(site, "sources", "list").stdout
    checked = run(site, "sources", "check", "ward-ctr", root)
    assert checked.returncode == 0, checked.stderr
    assert "1 image, 1 annotation, 1 reject\n" in checked.stdout


def test_the_test_of_the_page_passes(tmp_path):
    site = PAGE.install(tmp_path / "site")
    (tmp_path / "test_ward_ctr.py").write_text(TEST)
    done = run(site, "-q", "-p", "no:cacheprovider", "test_ward_ctr.py", module="pytest",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("import polars", "import no_such_package"), "ModuleNotFoundError"),
        (("(Source)", "(dict)"), "no subclass"),
        (('    licence = "CC BY 4.0"\n', ""), "does not declare licence"),
        (("def check", "def chek"), "does not declare check"),
        (('name = "ward-ctr"', 'name = "other"'), "its name is other"),
        (('("calculation",)', '("guessing",)'), "the task guessing"),
    ],
)
def test_an_unfit_source_is_one_sentence(change, message, plug):
    assert MODULE.count(change[0]) >= 1
    plug(PAGE, code=MODULE.replace(*change, 1))
    with pytest.raises(ImaxrayError, match=f"ward-ctr.*imaxray-ward-ctr.*{message}"):
        get_source("ward-ctr")


def test_a_name_of_ours_stays_ours(plug):
    plug(PAGE, points={"ms-cxr": "ward_ctr:WardCtr"})
    assert type(get_source("ms-cxr")).__module__ == "imaxray.sources.ms_cxr"
    names = [source.name for source in list_sources()]
    assert names == sorted(set(names))
