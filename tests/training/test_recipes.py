"""Tests that every built-in recipe is valid, names its model and begins with its command."""

import re

import pytest
import yaml

from imaxray.boxes import get_convention
from imaxray.configs import find_config
from imaxray.errors import ImaxrayError
from imaxray.models import find_row, list_models
from imaxray.training import Recipe, TrainingConfig, load_recipe

FOLDER = find_config("train/phantom").parent


def test_there_is_one_for_every_model_and_no_other():
    assert {p.stem for p in FOLDER.glob("*.yaml")} == {row.name for row in list_models()}


@pytest.mark.parametrize("row", list_models(), ids=lambda row: row.name)
def test_recipe(row):
    path = FOLDER / f"{row.name}.yaml"
    first = path.read_text().splitlines()[0]
    pattern = r"# imaxray train (\S+) --config (\S+)( --model FOLDER)? --out runs/" + re.escape(
        row.name
    )
    match = re.fullmatch(pattern, first)
    assert match and match[2] == row.name
    assert bool(match[3]) == (row.access == "credentialed")
    recipe = load_recipe(path)
    if row.repository is not None:
        assert find_row(recipe.model) == row
        assert recipe.method == "lora" and recipe.tokens_per_batch >= 4096
    if recipe.boxes is not None:
        assert get_convention(recipe.boxes) == row.boxes
    # no key says what the default says already, so that a reader sees what matters
    given = yaml.safe_load(path.read_text())
    assert Recipe.model_validate(given).model_dump() == recipe.model_dump()


def test_the_phantom_recipe_is_the_demos():
    study = yaml.safe_load((FOLDER.parent / "phantom.yaml").read_text())["training"]
    recipe = load_recipe(FOLDER / "phantom.yaml").training()
    assert recipe == TrainingConfig(**study)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("model: [", "Expected YAML"),
        ("- a list", "keys and values"),
        ("layout: packed", "names one"),
        ("model: x\nlayuot: packed", "layuot"),
        ("model: x\nlayout: folded", "layout"),
        ("model: x\nweights: {vqa: 1}\ntemperature: 2", "exclude each other"),
        ("model: x\nweights: {vqa: -1}", "negative"),
        ("model: x\nfsdp: true\noptimizer: muon", "muon"),
    ],
)
def test_bad_recipes_are_one_sentence(tmp_path, text, match):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ImaxrayError, match=match):
        load_recipe(path)


def test_what_is_given_wins_over_the_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: x\nepochs: 2\nseed: 3\n")
    assert load_recipe(path, seed=None).seed == 3
    changed = load_recipe(path, seed=4, steps=10)
    assert changed.seed == 4 and changed.steps_for(1000) == 10
    assert load_recipe(path).steps_for(1000) == 32  # 2 × 1000 entries, 64 a step, rounded up
    with pytest.raises(ImaxrayError, match="a recipe at"):
        load_recipe(tmp_path / "none.yaml")
