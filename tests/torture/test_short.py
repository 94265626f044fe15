"""Runs the short form of the torture: a few faults of each kind, on commands that need no model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def torture(tmp_path_factory):
    """A function that runs parts of the torture and returns the counts of the last line."""
    arena = tmp_path_factory.mktemp("torture")

    def run(*words):
        # A process of its own, because a process that has used Polars must not fork.
        call = [sys.executable, "-m", "torture", "--arena", str(arena), "--light", *words]
        path = os.pathsep.join([str(TESTS), *sys.path])
        done = subprocess.run(
            call, check=False, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": path, "POLARS_MAX_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_killed_commands_end_as_undisturbed_ones(torture):
    found = torture("kill", "--kills", "1", "--points", "2", "--command", "match",
                    "--command", "cache", "--command", "export")  # fmt: skip
    assert set(found["counts"]["kill: call"]) == {"match", "cache", "export"}
    assert all(tried == 2 for tried, _ in found["counts"]["kill: call"].values())


def test_two_writers_a_full_disk_and_a_lost_input_are_sentences(torture):
    found = torture("locks", "trouble", "--times", "1", "--command", "match", "--command", "share")
    kinds = {"locks: two-writers", "trouble: full", "trouble: read-only", "trouble: vanished"}
    assert kinds <= found["counts"].keys()
