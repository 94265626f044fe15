"""Tests that a dataset says what the options of its build decided, and that nothing is unsaid."""

import json
import warnings
from dataclasses import replace

import pytest

from imaxray.curation import (
    CurationConfig,
    DuplicatesConfig,
    EntriesConfig,
    build_catalog,
    open_dataset,
    write_dataset,
)
from imaxray.curation.decisions import card_lines, notice_same_images
from imaxray.sources import list_sources, others_with_same_images
from imaxray.sources._shared.images.same_images import SAME_IMAGES
from imaxray.study.build import DataConfig
from provenance import unsaid


def test_joined_releases_with_the_same_images_are_noticed():
    with pytest.warns(UserWarning, match="hold the same images under different ids"):
        said = notice_same_images(["rsna-pneumonia", "nih-chestxray14"], DuplicatesConfig())
    assert said["duplicates"] == "off" and len(said["shared"]) == 1


@pytest.mark.parametrize(
    ("sources", "effect"),
    [
        (["rsna-pneumonia", "nih-chestxray14"], "report"),
        (["mimic-cxr", "mimic-cxr-jpg", "ms-cxr"], "off"),
        (["nih-chestxray14"], "off"),
    ],
)
def test_there_is_no_warning_if_images_are_compared_or_joined_by_id(sources, effect):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notice_same_images(sources, DuplicatesConfig(effect=effect))


def test_the_pairs_name_known_sources_of_different_collections():
    collections = {source.name: source.collection for source in list_sources()}
    for pair in SAME_IMAGES:
        assert collections[pair.first] != collections[pair.second]
    assert len(others_with_same_images("rsna-pneumonia")) == 2


@pytest.fixture(scope="module")
def releases(phantom_root):
    known = {source.name for source in list_sources()}
    return {path.name: path for path in phantom_root.iterdir() if path.name in known}


@pytest.mark.parametrize("policy", ["ignore", "ones", "zeros", "ask"])
def test_the_policy_for_uncertain_labels_is_in_manifest_and_card(releases, tmp_path, policy):
    config = CurationConfig(entries=EntriesConfig(uncertain=policy))
    tables = build_catalog(releases, config, verify="exists")
    write_dataset(tables, tmp_path / "d", config={}, seed=0)
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    said = manifest["decisions"]["uncertain_labels"]
    assert said["policy"] == policy and said["images"] > 0
    assert (said["changed"] > 0) == (policy != "ignore")
    assert said["without_entry"] + said["changed"] <= said["images"]
    assert f"Uncertain labels (`{policy}`)" in (tmp_path / "d" / "README.md").read_text()
    assert open_dataset(tmp_path / "d").tables.decisions == manifest["decisions"]


def test_every_field_of_a_manifest_says_something(releases, tmp_path):
    tables = build_catalog(releases, verify="exists")
    content = DataConfig().model_dump(mode="json")
    write_dataset(tables, tmp_path / "d", config=content, seed=0)
    data = open_dataset(tmp_path / "d")
    assert unsaid(dict(data.manifest)) == []
    assert data.text_cleaning == content["curation"]["cleaning"]


def test_the_cleaning_of_an_older_dataset_is_read_from_its_configuration(releases, tmp_path):
    tables = replace(build_catalog(releases, verify="none"), decisions={})
    content = DataConfig().model_dump(mode="json")
    write_dataset(tables, tmp_path / "d", config={"base_config": content}, seed=0)
    assert open_dataset(tmp_path / "d").text_cleaning == content["curation"]["cleaning"]
    write_dataset(tables, tmp_path / "e", config={}, seed=0)
    assert open_dataset(tmp_path / "e").text_cleaning is None


def test_a_dataset_of_an_older_version_has_no_such_section():
    assert card_lines({}) == []
