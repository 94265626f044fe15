"""Files that are written into a folder of the user never replace or remove one of the user's."""

import pytest

from imaxray._common.folders import CLAIMED, claim_files, is_free, whole_folder
from imaxray.errors import ImaxrayError

NAMES = ("result.json", "scores.csv")
EARLIER = {"result.json": ('"decided_by"', '"tasks"')}


def claim(folder):
    claim_files(folder, NAMES, "a result", known_by=EARLIER)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_was_there_before_is_kept(tmp_path, kind):
    mine = tmp_path / "scores.csv"
    {"file": mine.touch, "folder": mine.mkdir, "link": lambda: mine.symlink_to("gone")}[kind]()
    with pytest.raises(ImaxrayError, match=r"^Expected to keep your file scores\.csv in .*, but a"):
        claim(tmp_path)
    assert not (tmp_path / CLAIMED).exists()


def test_what_was_claimed_may_be_written_again(tmp_path):
    claim(tmp_path / "new")
    assert is_free(tmp_path / "new")  # nothing is written yet
    for name in NAMES:
        (tmp_path / "new" / name).touch()
    claim(tmp_path / "new")
    with pytest.raises(ImaxrayError, match="keep your file"):
        (tmp_path / "new" / "other.csv").touch()
        claim_files(tmp_path / "new", ["other.csv"], "a comparison", known_by={})


def test_a_folder_of_an_earlier_version_is_known(tmp_path):
    (tmp_path / "scores.csv").touch()
    (tmp_path / "result.json").write_text('{"decided_by": {}, "tasks": []}')
    claim(tmp_path)


def test_one_common_word_makes_no_file_ours(tmp_path):
    (tmp_path / "scores.csv").touch()
    (tmp_path / "result.json").write_text('{"tasks": ["buy milk"]}')
    with pytest.raises(ImaxrayError, match="keep your file"):
        claim(tmp_path)


def test_a_damaged_list_takes_no_file_of_the_user(tmp_path):
    claim(tmp_path)
    (tmp_path / CLAIMED).write_text((tmp_path / CLAIMED).read_text()[:20])
    (tmp_path / "scores.csv").touch()
    with pytest.raises(ImaxrayError, match="keep your file"):
        claim(tmp_path)


def test_a_claimed_folder_can_become_a_whole_one(tmp_path):
    claim(tmp_path / "out")
    with whole_folder(tmp_path / "out", manifest="m.json", keys=(), what="thing") as aside:
        (aside / "m.json").write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert not (tmp_path / "out" / CLAIMED).exists()
