"""Tests that the wheel, installed alone outside the checkout, runs a study with its own files."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

CHECK = """
import sys
from pathlib import Path
import imaxray
target, source = Path(sys.argv[1]), sys.argv[3]
assert Path(imaxray.__file__).is_relative_to(target), imaxray.__file__
assert source not in sys.path, sys.path
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


TINY = {
    "title": "Tiny study",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 3},
    "model": {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    },
    "training": {"entries_per_step": 8, "steps": 2, "log_every": 1, "save_every": 2},
    "evaluation": {"max_new_tokens": 2, "resamples": 100, "examples": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment with the wheel; the other packages are those of the test's Python.

    A path file adds the folder of the other packages. Python does not read the path files in that
    folder, so an editable installation of the checkout is not found.
    """
    pytest.importorskip("setuptools", minversion="77")  # of pyproject.toml
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignored)  # a build writes beside the source
    alone = out / "alone"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", alone],
        [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", out, tree],
        [*pip, "--python", alone / "bin" / "python", "install", *offline, "--no-compile",
         "--find-links", out, "imaxray"],
    ):  # fmt: skip
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    folder = next((alone / "lib").glob("python3*")) / "site-packages"
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (folder / "other_packages.pth").write_text("\n".join(sorted(others)) + "\n")
    return alone


def run(installed, folder, program, *args):
    """Run a program of the environment in ``folder``, without variables that name the checkout."""
    return subprocess.run(
        [str(installed / "bin" / program), *map(str, args)], capture_output=True, text=True,
        cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_configs_rules_and_templates_are_in_the_wheel(installed, tmp_path):
    here = len(list((ROOT / "src" / "imaxray" / "configs").rglob("*.yaml")))
    done = run(installed, tmp_path, "python", "-I", "-c", CHECK, installed, here, ROOT / "src")
    assert done.returncode == 0, done.stderr


def test_the_command_line_of_the_wheel_knows_the_configs(installed, tmp_path):
    done = run(installed, tmp_path, "imaxray", "configs", "show", "phantom")
    assert done.returncode == 0 and "title: Phantom study" in done.stdout, done.stderr
    done = run(installed, tmp_path, "imaxray", "study", "phantm", "--out", "x")
    assert done.returncode == 2 and "did you mean phantom?" in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_wheel_runs_a_study_from_releases_to_report(installed, tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    done = run(installed, tmp_path, "imaxray", "study", "tiny.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Tiny study" in report and "Equal compute" in report and "<svg" in report
