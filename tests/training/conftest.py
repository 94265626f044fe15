"""Makes a small dataset folder, tiny models on disk, and processes that start at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imaxray.curation import ImaxConfig, build_catalog, open_dataset, select_imax, write_dataset
from imaxray.models import build_tiny

# Imports once, then forks: a process of its own for every run without paying for imports again.
SERVER = """
import json, os, sys
import torch, transformers, peft, imaxray.training, imaxray.models, imaxray.cli

def child(job, rank):
    os.environ.update(job["env"])
    if job["ranks"] > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(job["ranks"]),
                          LOCAL_WORLD_SIZE=str(job["ranks"]), MASTER_ADDR="127.0.0.1",
                          MASTER_PORT=str(job["port"]))
    log = os.open(f"{job['log']}.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["imaxray", *job["argv"]]
    try:
        imaxray.cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    pids = []
    for rank in range(job["ranks"]):
        pid = os.fork()
        if pid == 0:
            child(job, rank)
        pids.append(pid)
    print(json.dumps(pids), flush=True)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids]), flush=True)
"""


class Launcher:
    """Runs `imaxray` as one process or several that talk over gloo."""

    def __init__(self, folder):
        self._folder = folder
        self._runs = 0
        env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=env,
        )  # fmt: skip
        assert self._server.stdout.readline() == "ready\n"

    def start(self, *argv, ranks=1, **env):
        """Process ids; :meth:`wait` must follow."""
        self._runs += 1
        self._log = self._folder / f"log-{self._runs}"
        job = {"argv": [str(a) for a in argv], "ranks": ranks, "log": str(self._log), "env": env,
               "port": free_port()}  # fmt: skip
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def wait(self):
        """Exit codes and what was printed."""
        codes = json.loads(self._server.stdout.readline())
        texts = [Path(f"{self._log}.{rank}").read_text() for rank in range(len(codes))]
        return codes, "\n".join(texts)

    def __call__(self, *argv, **options):
        self.start(*argv, **options)
        return self.wait()

    def close(self):
        self._server.stdin.close()
        self._server.wait()


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    launcher = Launcher(tmp_path_factory.mktemp("logs"))
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def imax(phantom_releases):
    catalog = build_catalog(phantom_releases, verify=False)
    config = ImaxConfig(min_tasks=6, max_entries_per_task=1, target_entries=60)
    return select_imax(catalog, config)[0]


@pytest.fixture(scope="session")
def dataset(imax, tmp_path_factory):
    """A dataset folder with train and val."""
    folder = tmp_path_factory.mktemp("data") / "imax"
    write_dataset(imax, folder, config={}, seed=0)
    return open_dataset(folder)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory):
    """A tiny Qwen2.5-VL on disk, as a user would name it."""
    folder = tmp_path_factory.mktemp("models") / "qwen"
    build_tiny("qwen2_5_vl").save(folder)
    return folder
