"""Tests worker processes: they get their settings and end with their parent."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from imaxray._common.printing import warn_in_sentences
from imaxray._common.workers import _signals_later, worker_pool

KEPT = {}


def keep(name, value):
    KEPT[name] = value


def kept(name):
    return KEPT[name], os.getpid()


def test_every_process_is_initialised():
    with worker_pool(2, keep, ("answer", 42)) as pool:
        found = [future.result() for future in [pool.submit(kept, "answer") for _ in range(4)]]
    assert {value for value, _ in found} == {42} and os.getpid() not in {pid for _, pid in found}


def warned():
    return warnings.formatwarning("No \x1b[2Jfile is left out.", UserWarning, "place.py", 7)


@pytest.mark.parametrize("on", [True, False])
def test_workers_warn_as_the_command_does(on):
    warn_in_sentences(on)
    try:
        with worker_pool(1) as pool:
            said = pool.submit(warned).result()
        assert said == warned()
        assert ("place.py" in said) is not on
        if on:
            assert said == "Warning: No ?[2Jfile is left out.\n"
    finally:
        warn_in_sentences(False)


def test_warnings_of_libraries_keep_their_kind_and_place():
    warn_in_sentences()
    try:
        said = warnings.formatwarning("old name", DeprecationWarning, "place.py", 7, "x = 1")
    finally:
        warn_in_sentences(False)
    assert said == "place.py:7: DeprecationWarning: old name\n"


PARENT = """
import os, sys, time
from imaxray._common.workers import worker_pool
def work(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(60)
if __name__ == "__main__":
    worker_pool(1).submit(work, sys.argv[1]).result()
"""


def test_a_killed_parent_leaves_nobody_at_work(tmp_path):
    script, told = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), str(told)])
    worker = _when(lambda: int(told.read_text()) if told.exists() and told.read_text() else None)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _when(lambda: True if _gone(worker) else None)


def _gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # a zombie that nobody waits for is at work no more
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def _when(found):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if (value := found()) is not None:
            return value
        time.sleep(0.05)
    raise AssertionError("waited for 30 s")


INTERRUPTED = """
import os, signal, sys, time
from multiprocessing import process
from pathlib import Path
from imaxray._common.workers import worker_pool

start = process.BaseProcess.start

def interrupted(self):
    # Ctrl-C comes when the worker already waits for jobs and the pool does not know it yet
    start(self)
    process.BaseProcess.start = start
    while not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))

def arrived(path):
    Path(path).touch()

def stop(*_):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    process.BaseProcess.start = interrupted
    with worker_pool(1, arrived, (sys.argv[1],)) as pool:
        pool.submit(print, "done").result()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_first_process_starts_leaves_nobody_waiting(tmp_path, name):
    script = tmp_path / "parent.py"
    script.write_text(INTERRUPTED)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "arrived"), name], stderr=subprocess.PIPE
    )
    try:
        _, error = parent.communicate(timeout=60)
    finally:
        parent.kill()
    assert b"KeyboardInterrupt" in error and parent.returncode


def slow(path):
    Path(path).touch()
    time.sleep(0.3)


def fails():
    raise ValueError("no")


def test_jobs_that_wait_are_not_done_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="no"), worker_pool(1) as pool:
        failed = pool.submit(fails)
        for number in range(20):
            pool.submit(slow, str(tmp_path / f"{number}"))
        failed.result()
    assert len(list(tmp_path.iterdir())) < 10


def test_signals_wait_only_for_the_block():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("handled"))
    try:
        with _signals_later():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            seen.append("block")
        assert seen == ["block", "handled"]
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == ["block", "handled", "handled"]
    finally:
        signal.signal(signal.SIGTERM, before)
