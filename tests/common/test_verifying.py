"""Every folder that imaxray writes can be compared with its digests."""

import pytest

from imaxray._common.files import sha256
from imaxray._common.folders import (
    Marker,
    claim_files,
    claimed_digests,
    record_claimed,
    require_recorded,
    whole_folder,
    write_marker,
)
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


def test_digests_of_other_files_stay_as_they_were(results):
    claim_files(results, ["power.csv"], "a measurement", known_by={})
    (results / "power.csv").write_text("1")
    (results / "tasks.csv").write_text("2")  # damaged meanwhile
    record_claimed(results, ["power.csv"])
    assert verify_folder(results)[1] == ["tasks.csv"]


def test_a_list_that_names_nothing_is_changed(results):
    (results / ".imaxray-written.json").write_text("{}")
    assert verify_folder(results)[1] == [".imaxray-written.json"]


def test_every_manifest_of_a_folder_is_compared(results):
    (results / "answers.csv").write_text("1")
    digest = sha256(results / "answers.csv")
    write_state(results / "predictions.json", {"files": {"answers.csv": digest}})
    assert verify_folder(results) == ("predictions.json", [])
    (results / "tasks.csv").write_text("2")
    assert verify_folder(results)[1] == ["tasks.csv"]
    (results / "answers.csv").write_text("2")
    assert verify_folder(results)[1] == ["answers.csv", "tasks.csv"]
    (results / "predictions.json").write_text("{}")
    assert verify_folder(results)[1] == ["predictions.json", "tasks.csv"]


def test_files_that_hold_clocks_are_compared(tmp_path):
    (tmp_path / "curve.jsonl").write_text("1")
    digests = {"curve.jsonl": sha256(tmp_path / "curve.jsonl")}
    write_state(tmp_path / "run.json", {"files": {}, "file_sha256": digests})
    assert verify_folder(tmp_path) == ("run.json", [])
    (tmp_path / "curve.jsonl").unlink()
    assert verify_folder(tmp_path) == ("run.json", ["curve.jsonl"])


def test_files_of_a_whole_folder_that_are_gone_are_named(tmp_path):
    write_state(tmp_path / "manifest.json", {"files": {}})
    write_marker(tmp_path, Marker("dataset", "", ("manifest.json", "README.md", "roots.json")))
    assert verify_folder(tmp_path) == ("manifest.json", ["README.md"])
    (tmp_path / "manifest.json").unlink()
    assert verify_folder(tmp_path)[1] == ["README.md", "manifest.json"]


@pytest.mark.parametrize("left", ['{"answers": 3', ""])
def test_records_beside_the_folders_are_compared(tmp_path, left):
    claim_files(tmp_path, ["strategy.json"], "a strategy", known_by={})
    (tmp_path / "stages").mkdir()
    write_state(tmp_path / "stages" / "1-dmax.json", {"answers": 3})
    assert verify_folder(tmp_path)[1] == []
    (tmp_path / "stages" / "1-dmax.json").write_text(left)
    assert verify_folder(tmp_path)[1] == ["stages/1-dmax.json"]


def test_a_result_of_another_folder_is_not_read(results):
    require_recorded(results, advice="measure again")
    (results / "tasks.csv").write_text("2")
    with pytest.raises(ImaxrayError, match=r"tasks\.csv .* was changed; measure again"):
        require_recorded(results, advice="measure again")
    require_recorded(results, advice="measure again", leave_out=["tasks.csv"])


def test_a_state_file_with_the_name_of_a_manifest_needs_no_digests_of_files(results):
    write_state(results / "predictions.json", {"answers": 3})
    assert verify_folder(results) == (".imaxray-written.json", [])
    (results / "predictions.json").write_text('{"answers": 4}')
    assert verify_folder(results)[1] == ["predictions.json"]
