"""Two processes never write one folder; a dead one's lock does not block it."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest

from imaxray._common import lock as _lock
from imaxray._common import processes
from imaxray._common.folders import whole_folder
from imaxray._common.lock import LOCK, sole_writer
from imaxray.errors import ImaxrayError

HOLD = """
import sys, time
from pathlib import Path
from imaxray._common.lock import sole_writer
with sole_writer(Path(sys.argv[1]), beside=sys.argv[2] == "beside"):
    print("held", flush=True)
    time.sleep(60)
"""


ORPHAN = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from imaxray._common.lock import sole_writer

def hold(folder, told):
    with sole_writer(Path(folder)):
        told.send("held")
        time.sleep(float(sys.argv[2]))
        os._exit(1)

if __name__ == "__main__":
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.Process(target=hold, args=(sys.argv[1], theirs)).start()
    ours.recv()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["inside", "beside"])
def held(tmp_path, request):
    """A folder that another process holds, that process, and where the lock lies."""
    out = tmp_path / "out"
    call = [sys.executable, "-c", HOLD, str(out), request.param]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield out, process, request.param == "beside"
        process.kill()


def test_the_second_process_is_told_who_holds_the_folder(held):
    out, process, beside = held
    with (
        pytest.raises(ImaxrayError, match=rf"process {process.pid} on .* is writing it; wait"),
        sole_writer(out, beside=beside),
    ):
        pytest.fail("two writers")


def test_a_killed_holder_does_not_block(held):
    out, process, beside = held
    process.kill()
    process.wait()
    with sole_writer(out, beside=beside):
        pass
    left = out.parent.rglob("*lock*")
    assert not list(left)


def test_a_process_holds_a_lock_several_times_and_in_threads(tmp_path):
    with sole_writer(tmp_path) as first, sole_writer(tmp_path) as second:
        assert first and not second
        thread = threading.Thread(target=lambda: sole_writer(tmp_path).__enter__())
        thread.start()
        thread.join()
    with sole_writer(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()  # nothing was written into it


def foreign(path, **changes):
    """A lock that a process of another machine made."""
    holder = {"host": "elsewhere", "pid": os.getpid(), "machine": "elsewhere", "process": "1",
              "since": "2020-01-01", "token": "t"}  # fmt: skip
    path.write_text(json.dumps(holder | changes))


def test_a_lock_of_another_machine_lives_by_its_heartbeat(tmp_path):
    foreign(tmp_path / LOCK)
    with pytest.raises(ImaxrayError, match="on elsewhere"), sole_writer(tmp_path):
        pytest.fail("two writers")
    past = time.time() - _lock.STALE - 1
    os.utime(tmp_path / LOCK, (past, past))
    with sole_writer(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_the_heartbeat_touches_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "HEARTBEAT", 0.02)
    with sole_writer(tmp_path):
        before = (tmp_path / LOCK).stat().st_mtime_ns
        time.sleep(0.3)
        assert (tmp_path / LOCK).stat().st_mtime_ns > before


def test_another_process_with_the_number_of_a_dead_one_is_no_holder(tmp_path):
    with sole_writer(tmp_path / "a"):
        mine = json.loads((tmp_path / "a" / LOCK).read_text())
    foreign(tmp_path / LOCK, machine=mine["machine"], process="1")
    with sole_writer(tmp_path):
        pass
    foreign(tmp_path / LOCK, machine=mine["machine"], process=mine["process"])
    with pytest.raises(ImaxrayError, match=f"process {os.getpid()}"), sole_writer(tmp_path):
        pytest.fail("it lives")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_lock_that_was_cut_blocks_for_seconds_only(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(ImaxrayError, match="an unknown process"), sole_writer(tmp_path):
        pytest.fail("it may be written just now")
    past = time.time() - 60
    os.utime(tmp_path / LOCK, (past, past))
    with sole_writer(tmp_path):
        pass


def test_a_lock_that_came_in_between_stays(tmp_path):
    foreign(tmp_path / LOCK)
    _lock._break(tmp_path / LOCK, b"the dead one")
    assert "elsewhere" in (tmp_path / LOCK).read_text() and len(list(tmp_path.iterdir())) == 1


def test_a_kill_while_a_lock_is_taken_over_does_not_block(tmp_path):
    for name in (LOCK, f"{LOCK}.break"):
        foreign(tmp_path / name)
        os.utime(tmp_path / name, (0, 0))
    with sole_writer(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def _race(folder, start, results):
    start.wait()
    try:
        with sole_writer(folder):
            time.sleep(0.5)
        results.put("wrote")
    except ImaxrayError:
        results.put("refused")


def test_of_many_that_start_at_once_one_writes(tmp_path):
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(8), context.Queue()
    foreign(tmp_path / LOCK)
    os.utime(tmp_path / LOCK, (0, 0))  # all find it dead
    racers = [context.Process(target=_race, args=(tmp_path, start, results)) for _ in range(8)]
    for racer in racers:
        racer.start()
    found = [results.get(timeout=30) for _ in racers]
    for racer in racers:
        racer.join()
    assert sorted(found) == ["refused"] * 7 + ["wrote"]


def test_a_folder_is_not_written_twice_at_once(held):
    out, _, beside = held
    if not beside:
        return
    with (
        pytest.raises(ImaxrayError, match="written by one process"),
        whole_folder(out, manifest="m.json", keys=(), what="thing"),
    ):
        pytest.fail("two writers")
    assert not out.exists()


def test_a_process_that_stood_still_leaves_the_lock_to_the_next_one(tmp_path):
    with (
        pytest.raises(ImaxrayError, match=r"process .* on elsewhere .* took it over"),
        sole_writer(tmp_path),
    ):
        foreign(tmp_path / LOCK)
    assert "elsewhere" in (tmp_path / LOCK).read_text()


def test_an_error_of_the_block_is_told_before_a_lost_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), sole_writer(tmp_path):
        foreign(tmp_path / LOCK)
        raise ZeroDivisionError


def test_a_lost_lock_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "HEARTBEAT", 0.02)
    with pytest.raises(ImaxrayError), sole_writer(tmp_path):
        foreign(tmp_path / LOCK)
        os.utime(tmp_path / LOCK, (0, 0))
        time.sleep(0.2)
        assert (tmp_path / LOCK).stat().st_mtime == 0


def test_the_same_process_id_on_another_host_tells_nothing(tmp_path, monkeypatch):
    """Two hosts of a shared file system: each looks at the heartbeat of the other."""
    monkeypatch.setattr(processes, "host", lambda: "first")
    with sole_writer(tmp_path / "a"):
        first = json.loads((tmp_path / "a" / LOCK).read_text())
    first["pid"] = 2**22 + 1  # no process of this machine
    monkeypatch.setattr(processes, "host", lambda: "second")
    (tmp_path / LOCK).write_text(json.dumps(first))
    with pytest.raises(ImaxrayError, match=f"process {first['pid']} on first"):
        sole_writer(tmp_path).__enter__()
    for missed, taken in ((0.9, False), (1.1, True)):
        past = time.time() - missed * _lock.STALE
        (tmp_path / LOCK).write_text(json.dumps(first))
        os.utime(tmp_path / LOCK, (past, past))
        if taken:
            with sole_writer(tmp_path):
                assert json.loads((tmp_path / LOCK).read_text())["host"] == "second"
        else:
            with pytest.raises(ImaxrayError, match="on first"):
                sole_writer(tmp_path).__enter__()


@pytest.mark.parametrize("wrong", [-86_400, 86_400])
def test_a_wrong_clock_of_this_machine_does_not_break_a_lock(tmp_path, monkeypatch, wrong):
    right = time.time
    monkeypatch.setattr(_lock.time, "time", lambda: right() + wrong)
    foreign(tmp_path / LOCK)
    with pytest.raises(ImaxrayError, match="on elsewhere"):
        sole_writer(tmp_path).__enter__()


def test_a_worker_whose_command_was_killed_is_waited_for(tmp_path):
    subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path / "out"), "1.5"], check=False)
    with sole_writer(tmp_path / "out"):
        pass


def test_a_worker_that_does_not_end_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "_ORPHANED", 0.2)
    subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path / "out"), "4"], check=False)
    with pytest.raises(ImaxrayError, match="is writing it"), sole_writer(tmp_path / "out"):
        pass
