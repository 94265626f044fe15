"""Every folder that imaxray writes can be compared with its digests."""

import pytest

from imaxray._common.files import sha256
from imaxray._common.folders import claim_files, claimed_digests, record_claimed, whole_folder
from imaxray._common.state import write_state
from imaxray._common.verifying import verify_folder
from imaxray.errors import ImaxrayError


@pytest.fixture
def results(tmp_path):
    claim_files(tmp_path, ["tasks.csv", "power.csv"], "a measurement", known_by={})
    (tmp_path / "tasks.csv").write_text("1")
    record_claimed(tmp_path)
    return tmp_path


def test_results_are_compared(results):
    assert verify_folder(results) == (".imaxray-written.json", [])
    (results / "mine.csv").write_text("the user's")
    assert verify_folder(results)[1] == []
    (results / "tasks.csv").write_text("2")
    assert verify_folder(results)[1] == ["tasks.csv"]
    (results / "tasks.csv").unlink()
    assert verify_folder(results)[1] == ["tasks.csv"]


def test_a_file_that_is_written_anew_has_no_digest_meanwhile(results):
    claim_files(results, ["tasks.csv"], "a measurement", known_by={})
    assert claimed_digests(results) == {}
    (results / "tasks.csv").write_text("2")
    assert verify_folder(results)[1] == []
    record_claimed(results)
    assert list(claimed_digests(results)) == ["tasks.csv"]


def test_a_changed_list_is_named(results):
    path = results / ".imaxray-written.json"
    path.write_text(path.read_text().replace("power", "pover"))
    assert verify_folder(results)[1] == [".imaxray-written.json"]


def test_folders_inside_are_compared(tmp_path, results):
    outer = tmp_path.parent / f"{tmp_path.name}-outer"
    (outer / "arms").mkdir(parents=True)
    results.rename(outer / "arms" / "imax")
    assert verify_folder(outer) == ("the digests in 1 folder", [])
    (outer / "arms" / "imax" / "tasks.csv").write_text("2")
    assert verify_folder(outer)[1] == ["arms/imax/tasks.csv"]


def test_the_manifest_of_another_folder_is_named(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        with whole_folder(
            tmp_path / name, manifest="manifest.json", keys=(), what="dataset"
        ) as aside:
            (aside / "images.parquet").write_text("the same")
            files = {"images.parquet": sha256(aside / "images.parquet")}
            write_state(aside / "manifest.json", {"seed": seed, "files": files})
    assert verify_folder(tmp_path / "one") == ("manifest.json", [])
    (tmp_path / "two" / "manifest.json").replace(tmp_path / "one" / "manifest.json")
    assert verify_folder(tmp_path / "one") == ("manifest.json", ["manifest.json"])


def test_a_folder_of_the_user_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("1")
    with pytest.raises(ImaxrayError, match="Expected a folder that imaxray wrote"):
        verify_folder(tmp_path)
