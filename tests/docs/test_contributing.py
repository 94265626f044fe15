"""Tests that the house map of CONTRIBUTING.md equals the source tree."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import house_map


def test_the_house_map_equals_the_tree():
    held = house_map.in_page(house_map.PAGE.read_text(encoding="utf-8"))
    assert held == house_map.render(), "run `make map`"


def test_the_map_lists_every_folder_with_code():
    source = house_map.ROOT / "src" / "imaxray"
    folders = {path.parent for path in source.rglob("*.py")} - {source}
    assert folders <= set(house_map.places(source))


def test_a_room_without_a_contract_is_shown_with_the_rules_of_its_outer_room():
    assert house_map.may_import("generation", [], "evaluation") == "as `evaluation`"


def test_the_lowest_layer_imports_nothing_of_the_package():
    top = house_map.layers(house_map.ROOT)["imaxray"]
    assert house_map.may_import(top[-1][0], top, "") == "nothing of `imaxray`"
