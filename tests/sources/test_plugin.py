"""Sources of other packages: the walk-through of docs/adding-a-source.md, installed and run."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import imaxray
from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source, list_sources

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-source.md"
MODULE, TEST = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
PROJECT = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])["project"]


def install(site, module=MODULE, points=None):
    """Lay out a distribution as an installer does."""
    site.mkdir(exist_ok=True)
    (site / "ward_ctr.py").write_text(module)
    info = site / f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n"
    )
    lines = (points or PROJECT["entry-points"]["imaxray.sources"]).items()
    (info / "entry_points.txt").write_text(
        "[imaxray.sources]\n" + "".join(f"{name} = {value}\n" for name, value in lines)
    )
    return site


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """A function that installs a distribution for this process and takes it away again."""

    def plug(**kwargs):
        monkeypatch.syspath_prepend(install(tmp_path / "site", **kwargs))

    yield plug
    sys.modules.pop("ward_ctr", None)


def write_release(root):
    (root / "images").mkdir(parents=True)
    Image.new("L", (64, 48)).save(root / "images" / "p1.png")
    (root / "measurements.csv").write_text(
        "image,patient,view,ctr\np1.png,1,PA,0.52\np9.png,1,PA,0.5\n"
    )
    return root


def run(site, *args, module="imaxray.cli", cwd=None):
    paths = [str(site), str(Path(imaxray.__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, args)], capture_output=True, text=True,
        check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip


def test_a_source_of_another_package_is_found_read_and_built(plugged, tmp_path):
    with pytest.raises(ImaxrayError, match="ward-ctr"):
        get_source("ward-ctr")
    plugged()
    assert "ward-ctr" in [source.name for source in list_sources()]
    catalog = build_catalog({"ward-ctr": write_release(tmp_path / "release")}, workers=2)
    assert catalog.annotations.select("image_id", "value").rows() == [("ward/p1.png", 0.52)]
    assert catalog.account.rows() == [("ward-ctr", "measurements.csv", 2, 1, 1)]
    assert catalog.entries["task"].to_list() == ["calculation"]


def test_the_command_line_lists_and_checks_it(tmp_path):
    site, root = install(tmp_path / "site"), write_release(tmp_path / "release")
    rows = json.loads(run(site, "sources", "list", "--format", "json").stdout)
    mine = next(row for row in rows if row["name"] == "ward-ctr")
    assert mine["title"] == "Ward CTR" and mine["tasks"] == ["calculation"]
    assert "ward-ctr: Ward CTR, version 1.0" in run(site, "sources", "list").stdout
    checked = run(site, "sources", "check", "ward-ctr", root)
    assert checked.returncode == 0, checked.stderr
    assert "1 images, 1 annotations, 1 rejects" in checked.stdout


def test_the_test_of_the_page_passes(tmp_path):
    site = install(tmp_path / "site")
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
def test_an_unfit_source_is_one_sentence(change, message, plugged):
    assert MODULE.count(change[0]) >= 1
    plugged(module=MODULE.replace(*change, 1))
    with pytest.raises(ImaxrayError, match=f"ward-ctr.*imaxray-ward-ctr.*{message}"):
        get_source("ward-ctr")


def test_a_name_of_ours_stays_ours(plugged):
    plugged(points={"ms-cxr": "ward_ctr:WardCtr"})
    assert type(get_source("ms-cxr")).__module__ == "imaxray.sources.ms_cxr"
    names = [source.name for source in list_sources()]
    assert names == sorted(set(names))
