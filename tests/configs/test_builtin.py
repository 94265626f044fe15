"""Tests that every built-in configuration is listed, found by its name, and loads."""

from pathlib import Path

import pytest

from imaxray.ablation import load_study
from imaxray.configs import copy_config, find_config, list_configs
from imaxray.errors import ImaxrayError
from imaxray.strategy import load_strategy
from imaxray.training import load_recipe

CONFIGS = {config.name: config for config in list_configs()}


def test_all_are_listed_with_a_command_and_a_sentence():
    assert {"phantom", "mimic", "ablation", "strategy", "train/lingshu-7b"} <= set(CONFIGS)
    for config in CONFIGS.values():
        assert config.command.startswith(("imaxray ", "python bench/"))
        assert config.name.removeprefix("train/") in config.command or "bench" in config.command
        assert config.summary.endswith((".", "untrained."))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_one_loads_by_its_name(name):
    if name.startswith("train/"):
        assert load_recipe(name) == load_recipe(name.removeprefix("train/"), model=None)
    elif name.endswith("strategy"):
        if name != "open-cxr-strategy":  # that one names no data
            assert load_strategy(name).stages
    else:
        assert load_study(name) == load_study(CONFIGS[name].path)


def test_a_path_is_a_file_and_a_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("title: x")
    assert find_config("mine") == Path("mine")
    assert find_config("none.yaml") == Path("none.yaml")
    assert find_config(Path("phantom")) == Path("phantom")
    assert find_config("phantom", "train") == CONFIGS["train/phantom"].path
    assert find_config("phantom") == CONFIGS["phantom"].path


@pytest.mark.parametrize(
    ("name", "folder", "near"),
    [("phantm", None, "phantom"), ("lingshu-7", "train", "train/lingshu-7b|lingshu-7b"),
     ("train/medmo8b", None, "train/medmo-8b"), ("xyz", None, "imaxray configs list")],
)  # fmt: skip
def test_an_unknown_name_is_one_sentence_with_the_nearest(name, folder, near):
    with pytest.raises(ImaxrayError, match=near) as caught:
        find_config(name, folder)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_builtin_one(tmp_path):
    with pytest.raises(ImaxrayError, match="such as phantom"):
        load_study("configs/phantom.yaml")
    with pytest.raises(ImaxrayError, match="configs list"):
        load_study(tmp_path / "none.yaml")


def test_a_copy_is_the_same_text_and_replaces_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert copy_config("phantom") == Path("phantom.yaml")
    assert load_study("phantom.yaml") == load_study("phantom")
    made = copy_config("train/lingshu-7b", tmp_path / "a" / "b.yaml")
    assert made.read_bytes() == CONFIGS["train/lingshu-7b"].path.read_bytes()
    with pytest.raises(ImaxrayError, match="exists already"):
        copy_config("phantom")
    with pytest.raises(ImaxrayError, match="did you mean phantom"):
        copy_config("phantomm")


def test_a_copy_that_cannot_be_written_is_not_left_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("imaxray.configs.builtin.show_config", lambda _: "\ud800")
    with pytest.raises(UnicodeError):
        copy_config("phantom", tmp_path / "a.yaml")
    assert not (tmp_path / "a.yaml").exists()
