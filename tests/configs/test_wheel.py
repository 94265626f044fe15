"""Tests that the wheel, installed alone outside the checkout, has all that a study needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CHECK = """
import sys
from pathlib import Path
import imaxray
target = Path(sys.argv[1])
assert Path(imaxray.__file__).is_relative_to(target), imaxray.__file__
from importlib.resources import files
from imaxray.ablation import load_study
from imaxray.configs import list_configs
from imaxray.pseudo import load_rules
from imaxray.strategy import load_strategy
from imaxray.training import load_recipe
assert load_study("phantom").phantom is not None and load_study("ablation").strategy
assert load_strategy("strategy").stages and load_recipe("lingshu-7b").model == "lingshu-7b"
assert len(list_configs()) == int(sys.argv[2])
assert load_rules()
for name in ("template.html", "style.css"):
    assert files("imaxray.report").joinpath(name).read_text(encoding="utf-8")
assert files("imaxray").joinpath("py.typed").is_file()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with nothing but the installed wheel."""
    pytest.importorskip("setuptools", minversion="77")  # of pyproject.toml
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignored)  # a build writes beside the source
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index"]
    for command in (
        ["wheel", *alone, "--no-build-isolation", "--wheel-dir", out, tree],
        ["install", *alone, "--target", out / "target", "--find-links", out, "imaxray"],
    ):
        done = subprocess.run([*pip, *map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return out / "target"


def python(installed, folder, *args):
    return subprocess.run(
        [sys.executable, *map(str, args)], capture_output=True, text=True, cwd=folder,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip


def test_configs_rules_and_templates_are_in_the_wheel(installed, tmp_path):
    here = len(list((ROOT / "src" / "imaxray" / "configs").rglob("*.yaml")))
    done = python(installed, tmp_path, "-c", CHECK, installed, here)
    assert done.returncode == 0, done.stderr


def test_the_command_line_of_the_wheel_knows_the_configs(installed, tmp_path):
    done = python(installed, tmp_path, "-m", "imaxray.cli", "configs", "show", "phantom")
    assert done.returncode == 0 and "title: Phantom study" in done.stdout, done.stderr
    done = python(installed, tmp_path, "-m", "imaxray.cli", "study", "phantm", "--out", "x")
    assert done.returncode == 2 and "did you mean phantom?" in done.stderr
    assert not (tmp_path / "x").exists()
