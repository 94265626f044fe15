"""Tests that a dataset is rebuilt byte by byte from a manifest and one's own downloads."""

import shutil
from pathlib import Path

import pytest

from imaxray._common.state import known_state, write_state
from imaxray.curation import DmaxConfig, ImaxConfig, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.study import DataConfig, build_datasets, rebuild_dataset

CONFIG = DataConfig(
    seed=5, imax=ImaxConfig(min_tasks=4, target_entries=150), dmax=DmaxConfig(seed=9)
)


@pytest.fixture(scope="module")
def study(tmp_path_factory, phantom_releases):
    out = tmp_path_factory.mktemp("study")
    build_datasets(phantom_releases, CONFIG, out)
    return out


@pytest.fixture
def downloads(tmp_path, phantom_releases):
    """Another user's own copy."""
    copies = {}
    for name, root in phantom_releases.items():
        shutil.copytree(root, tmp_path / "downloads" / name)
        copies[name] = tmp_path / "downloads" / name
    return copies


@pytest.mark.parametrize("role", ["catalog", "imax", "dmax"])
def test_the_same_sha256(study, downloads, tmp_path, role):
    manifest = tmp_path / "manifest.json"
    shutil.copy(study / role / "manifest.json", manifest)
    report = rebuild_dataset(manifest, downloads, tmp_path / "again", workers=2)
    original = open_dataset(study / role)
    assert report.files == original.manifest["files"]
    assert open_dataset(tmp_path / "again").verify() == []
    assert (tmp_path / "again" / "manifest.json").read_bytes() == manifest.read_bytes()
    assert not list(tmp_path.glob(".again*"))


def test_a_folder_that_cannot_be_replaced_is_refused_before_the_work(
    study, downloads, tmp_path, monkeypatch
):
    manifest = study / "imax" / "manifest.json"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImaxrayError, match="is the current folder or one around it"):
        rebuild_dataset(manifest, {}, Path())
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "volume")
    with pytest.raises(ImaxrayError, match="is the place of a mounted volume"):
        rebuild_dataset(manifest, {}, tmp_path / "volume")


@pytest.mark.parametrize("there", [False, True])
def test_a_link_to_an_empty_or_absent_folder_is_followed(study, downloads, tmp_path, there):
    if there:
        (tmp_path / "disk").mkdir()
    (tmp_path / "again").symlink_to("disk")
    rebuild_dataset(study / "imax" / "manifest.json", downloads, tmp_path / "again", workers=2)
    assert (tmp_path / "again").is_symlink()
    assert open_dataset(tmp_path / "disk").verify() == []


def test_one_changed_byte_is_named(study, downloads, tmp_path):
    path = downloads["cxr-cardiomegaly"] / "CTRs.csv"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImaxrayError, match=r"CTRs\.csv of cxr-cardiomegaly with sha256") as error:
        rebuild_dataset(study / "imax" / "manifest.json", downloads, tmp_path / "again")
    assert error.value.args[0].count(". ") == 0 and not (tmp_path / "again").exists()


def test_a_missing_file_and_a_missing_source_are_named(study, downloads, tmp_path):
    manifest = study / "imax" / "manifest.json"
    fewer = {name: path for name, path in downloads.items() if name != "ms-cxr"}
    with pytest.raises(ImaxrayError, match="add --source ms-cxr=PATH"):
        rebuild_dataset(manifest, fewer, tmp_path / "again")
    (downloads["mimic-cxr"] / "mimic-cxr-reports.zip").unlink()
    with pytest.raises(ImaxrayError, match=r"Expected mimic-cxr-reports\.zip"):
        rebuild_dataset(manifest, downloads, tmp_path / "again")


def test_a_manifest_of_other_things_is_refused(tmp_path, downloads):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ImaxrayError, match=r"Expected the manifest\.json"):
        rebuild_dataset(tmp_path / "manifest.json", downloads, tmp_path / "again")


def test_another_configuration_format_asks_for_its_version(study, downloads, tmp_path):
    manifest = known_state(study / "imax" / "manifest.json")
    manifest["config"]["imax"]["colour"] = "blue"
    manifest["imaxray"] = "0.0.7"
    write_state(tmp_path / "manifest.json", manifest)
    with pytest.raises(ImaxrayError, match=r"built by imaxray 0\.0\.7, install that version"):
        rebuild_dataset(tmp_path / "manifest.json", downloads, tmp_path / "again")


def test_the_manifest_holds_no_text_and_no_values(study):
    text = (study / "imax" / "manifest.json").read_text()
    data = open_dataset(study / "imax").tables
    for report in data.annotations.filter(data.annotations["kind"] == "report")["text"].unique():
        assert report not in text
    assert not any(image in text for image in data.images["image_id"])
