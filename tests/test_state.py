"""State files hold the digest of their own content, and their one reader compares it."""

import json
import random

import pytest

from imaxray._common.state import DIGEST_KEY, is_changed, known_state, read_state, write_state
from imaxray.errors import ImaxrayError

CONTENT = {
    "seed": 10, "seconds": 0.1 + 0.2, "text": "ü \ud800", "none": None, "sides": (1, 2),
    "by_number": {10: "a", 9: "b"}, "not_a_number": float("inf"),
}  # fmt: skip


def test_what_is_written_reads_back_without_its_digest(tmp_path):
    path = tmp_path / "state.json"
    write_state(path, CONTENT)
    assert len(json.loads(path.read_text())[DIGEST_KEY]) == 64
    whole = {**CONTENT, "sides": [1, 2], "by_number": {"10": "a", "9": "b"}}
    assert known_state(path) == read_state(path, advice="x") == whole and not is_changed(path)
    bytes_ = path.read_bytes()
    write_state(path, known_state(path))
    assert path.read_bytes() == bytes_


def test_a_file_of_an_earlier_version_is_read_as_it_is(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"seed": 10}')
    assert known_state(path) == read_state(path, dict[str, int], advice="x") == {"seed": 10}
    assert not is_changed(path)


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path):
    path = tmp_path / "state.json"
    write_state(path, CONTENT)
    whole, before = known_state(path), path.read_bytes()
    draw = random.Random(0)
    found = 0
    for at in range(len(before)):
        content = bytearray(before)
        content[at] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        # a flip in the key itself makes it a file of an earlier version with one key more
        now = {key: value for key, value in known_state(path).items() if key in whole}
        assert now in (whole, {})
        found += not now
    assert found > 0.8 * len(before)


@pytest.mark.parametrize("value", ["11", "10.0", '"10"', "true"])
def test_a_changed_value_is_one_sentence(tmp_path, value):
    path = tmp_path / "state.json"
    write_state(path, {"seed": 10})
    path.write_text(path.read_text().replace("10", value, 1))
    with pytest.raises(ImaxrayError, match=r"state\.json as imaxray wrote it, but it was changed"):
        read_state(path, advice="make it again")


def test_a_key_that_stands_there_twice_is_no_state(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1, "a": 2}')
    with pytest.raises(ImaxrayError, match="changed or cut"):
        read_state(path, advice="write it again")
