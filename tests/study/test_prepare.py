"""Datasets are kept only while they are whole and their releases are the same."""

import shutil

import polars as pl
import pytest

from imaxray._common.state import known_state
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.phantom import write_phantom
from imaxray.study import StudyConfig, build_study_data, prepare
from imaxray.study.release_state import release_states

CONFIG = {
    "title": "t", "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepare")
    write_phantom(folder / "releases", images=90, seed=1)
    return folder


@pytest.fixture
def built(base, tmp_path):
    """Releases of one's own, and a study on them whose datasets are built."""
    root, out = tmp_path / "releases", tmp_path / "out"
    shutil.copytree(base / "releases", root)
    names = {p.name: p.name for p in root.iterdir() if p.is_dir() and p.name != "truth"}
    config = StudyConfig.model_validate({**CONFIG, "releases": names})
    return config, root, out, build_study_data(config, out, root=root)


def never(*_, **__):
    raise AssertionError("built again")


def test_whole_datasets_of_the_same_releases_are_kept(built, monkeypatch):
    config, root, out, report = built
    monkeypatch.setattr(prepare, "build_datasets", never)
    assert build_study_data(config, out, root=root) == report


@pytest.mark.parametrize("change", ["table", "removed image", "added image"])
def test_a_changed_release_is_noticed(built, change):
    config, root, out, report = built
    image = sorted((root / "mimic-cxr-jpg").rglob("*.jpg"))[0]
    if change == "table":
        path = root / "cxr-cardiomegaly" / "CTRs.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:-3]) + "\n")
    elif change == "removed image":
        image.unlink()
    else:
        shutil.copy(image, image.with_name("new.jpg"))
    before = open_dataset(out / "catalog").sha256
    again = build_study_data(config, out, root=root)
    assert again["of"] != report["of"]
    same = open_dataset(out / "catalog").sha256 == before
    assert same == (change == "added image")  # which no table names


@pytest.mark.parametrize("file", ["imax/entries/train.parquet", "dmax/images.parquet"])
def test_a_cut_file_is_not_built(built, file):
    config, root, out, report = built
    whole = (out / file).read_bytes()
    (out / file).write_bytes(whole[: len(whole) // 2])
    again = build_study_data(config, out, root=root)
    assert (out / file).read_bytes() == whole and again["datasets"] == report["datasets"]


def test_a_root_that_is_nothing_is_an_error(built, tmp_path):
    config, _, out, _ = built
    with pytest.raises(ImaxrayError, match="folder of the releases"):
        build_study_data(config, out, root=tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImaxrayError, match="Expected"):
        build_study_data(config, out, root=tmp_path / "empty")


def test_a_kill_before_the_report_leaves_no_report_of_other_datasets(built, monkeypatch):
    config, root, out, _ = built
    other = config.model_copy(update={"seed": 5})

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "write_state", killed)
        with pytest.raises(KeyboardInterrupt):
            build_study_data(other, out, root=root)
    report = build_study_data(other, out, root=root)
    assert report["datasets"] == {
        role: open_dataset(out / role).sha256 for role in ("catalog", "imax", "dmax")
    }
    images = pl.read_parquet(out / "dmax" / "entries" / "train.parquet")["image_id"].n_unique()
    assert report["dmax"]["images"] == images
    assert known_state(out / "match.json") == report


def test_the_users_files_in_a_dataset_stay(built):
    config, root, out, _ = built
    (out / "imax" / "notes.txt").write_text("mine")
    build_study_data(config.model_copy(update={"seed": 5}), out, root=root)
    assert (out / "imax" / "notes.txt").read_text() == "mine"


def test_the_state_of_a_release_sees_through_links(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.jpg").write_bytes(b"1")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "images").symlink_to(tmp_path / "far")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "nowhere").symlink_to(tmp_path / "absent")
    releases = {"r": tmp_path / "root"}
    before = release_states(releases)
    assert release_states(releases) == before
    (tmp_path / "far" / "a.jpg").write_bytes(b"12")
    assert release_states(releases) != before
    assert release_states({"r": tmp_path / "absent"}).keys() == {"r"}
