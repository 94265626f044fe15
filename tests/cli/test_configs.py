"""Tests the commands on built-in configurations, and configurations that are given by name."""

from pathlib import Path

import pytest
import typer

from imaxray.cli import app
from imaxray.configs import list_configs
from imaxray.errors import ImaxrayError


def run(*args):
    return typer.main.get_command(app)(list(map(str, args)), standalone_mode=False)


def test_list_show_and_copy(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("configs", "list")
    said = capsys.readouterr().out
    assert all(f"{config.name}: {config.summary}" in said for config in list_configs())
    run("configs", "show", "phantom")
    shown = capsys.readouterr().out
    assert shown == list_configs()[-1].path.parents[1].joinpath("phantom.yaml").read_text()
    run("configs", "copy", "phantom", "--out", "mine.yaml")
    assert Path("mine.yaml").read_text() == shown
    assert "mine.yaml" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["build", "study", "strategy"])
def test_a_config_is_given_once_by_name_or_path(command, tmp_path):
    out = ("--out", tmp_path / "out")
    with pytest.raises(ImaxrayError, match="none is given; name a built-in one"):
        run(command, *out)
    with pytest.raises(ImaxrayError, match="leave one out"):
        run(command, "phantom", "--config", "phantom", *out)
    with pytest.raises(ImaxrayError, match="did you mean phantom"):
        run(command, "phantm", *out)
    for given in (("none.yaml",), ("--config", "none.yaml")):
        with pytest.raises(ImaxrayError, match=r"at none.yaml, but it cannot be read"):
            run(command, *given, *out)


def test_a_recipe_is_found_by_its_name(tmp_path):
    with pytest.raises(ImaxrayError, match="did you mean lingshu-7b"):
        run("train", tmp_path, "--out", tmp_path / "out", "--config", "lingshu-7")
