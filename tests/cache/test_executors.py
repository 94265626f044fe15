"""Tests that every engine and number of workers writes the same bytes, even if killed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import imaxray
from imaxray.cache import cache_images, executors
from imaxray.cache.plan import make_plan
from imaxray.errors import ImaxrayError

from .conftest import content, make_dataset, write_images

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(imaxray.__file__).parent.parent)}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Images that take a while: 60 of them, in 30 shards."""
    from PIL import Image

    from .conftest import picture

    folder = tmp_path_factory.mktemp("many")
    (folder / "release").mkdir()
    rows = []
    for k in range(60):
        Image.fromarray(picture(k, 900, 700)).save(folder / "release" / f"{k}.jpg")
        rows.append({"image_id": f"c/{k:02d}", "path": f"{k}.jpg", "width": 900, "height": 700})
    return make_dataset(folder, rows)


@pytest.fixture(scope="module")
def uninterrupted(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "cache"
    cache_images(many, out, max_side=600, shard_images=2, workers=1)
    return content(out)


def finished(out):
    return sorted(out.glob("shards/*.arrow"))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_run_again(many, uninterrupted, tmp_path, workers):
    out = tmp_path / "cache"
    command = [sys.executable, "-m", "imaxray.cli", "cache", str(many.folder), "--out", str(out),
               "--max-side", "600", "--shard-images", "2", "--workers", str(workers)]  # fmt: skip
    process = subprocess.Popen(command, env=_ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(finished(out)) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    done = finished(out)
    assert 4 <= len(done) < 30 and not (out / "manifest.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in done}
    report = cache_images(many, out, max_side=600, shard_images=2, workers=2)
    assert report.kept_shards >= len(done)
    assert {path: path.stat().st_mtime_ns for path in done} == stamps
    assert content(out) == uninterrupted


def test_workers_end_when_their_parent_is_killed(many, tmp_path):
    out = tmp_path / "cache"
    command = [sys.executable, "-m", "imaxray.cli", "cache", str(many.folder), "--out", str(out),
               "--shard-images", "2", "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(command, env=_ENVIRONMENT, stderr=subprocess.DEVNULL)
    psutil = pytest.importorskip("psutil")
    deadline = time.monotonic() + 60
    while not finished(out) and time.monotonic() < deadline:
        time.sleep(0.002)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def begin(dataset, out):
    """Make all shards of a cache, and stop before its index."""

    def stopped(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("imaxray.cache.writer._close", stopped)
        cache_images(dataset, out, max_side=600, shard_images=2, workers=1)


def test_a_half_written_shard_is_never_taken(many, uninterrupted, tmp_path):
    out = tmp_path / "cache"
    begin(many, out)
    shard = finished(out)[3]
    raw = shard.read_bytes()
    shard.write_bytes(raw[: len(raw) // 3])  # no rename would leave this; a full disk might
    (out / "shards" / f".{shard.name}.{0:032x}.part").write_bytes(raw[:100])
    report = cache_images(many, out, max_side=600, shard_images=2, workers=1)
    assert report.kept_shards == 29
    assert content(out) == uninterrupted


def test_a_folder_that_cannot_be_written_is_one_sentence(dataset, tmp_path, monkeypatch):
    from imaxray.cache import shard

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard, "_write", full)
    with pytest.raises(ImaxrayError, match="No space left on device"):
        cache_images(dataset, tmp_path / "cache", workers=1)
    assert finished(tmp_path / "cache") == []


def test_a_killed_worker_is_one_sentence(many, tmp_path):
    def victims():
        return psutil.Process().children()

    psutil = pytest.importorskip("psutil")
    jobs = list(make_plan(many, max_side=600, shard_images=2).jobs(many, tmp_path))
    before = {child.pid for child in victims()}
    with pytest.raises(ImaxrayError, match="fewer --workers"):
        for pid, _ in executors.run_local(jobs, 2):
            assert int(pid) not in before
            os.kill(int(pid), signal.SIGKILL)


def test_ray_missing_is_one_sentence(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImaxrayError, match=r"imaxray\[ray\]"):
        cache_images(dataset, tmp_path / "cache", engine="ray")


@pytest.fixture(scope="module")
def two_nodes():
    """A Ray cluster of two nodes with one CPU each on this machine; this process is its driver."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed; pip install 'imaxray[ray]'")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("PYTHONPATH", _ENVIRONMENT["PYTHONPATH"])
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000,
                        "include_dashboard": False},
    )  # fmt: skip
    try:
        cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        yield ray
    finally:
        ray.shutdown()
        cluster.shutdown()
        patch.undo()


def test_two_ray_nodes_give_the_same_bytes(two_nodes, many, uninterrupted, tmp_path):
    assert len([node for node in two_nodes.nodes() if node["Alive"]]) == 2
    out = tmp_path / "cache"
    report = cache_images(many, out, max_side=600, shard_images=2, engine="ray")
    assert report.workers == 2  # nodes that made shards
    assert report.kept_shards == 0
    assert content(out) == uninterrupted


def test_ray_goes_on_where_the_local_engine_was(two_nodes, many, uninterrupted, tmp_path):
    out = tmp_path / "cache"
    begin(many, out)
    for path in finished(out)[10:25]:
        path.unlink()
    report = cache_images(many, out, max_side=600, shard_images=2, engine="ray")
    assert report.kept_shards == 15
    assert content(out) == uninterrupted


def test_an_error_on_a_ray_node_is_the_same_sentence(two_nodes, tmp_path):
    dataset = make_dataset(tmp_path, write_images(tmp_path, 3))
    jobs = list(make_plan(dataset, max_side=9, shard_images=1).jobs(dataset, tmp_path / "absent"))
    with pytest.raises(ImaxrayError, match="No such file or directory"):
        list(executors.run_on_ray(jobs))
    assert two_nodes.is_initialized()  # a cluster that was there stays


def test_a_process_that_makes_shards_imports_little():
    code = "import sys, imaxray.cache.executors\nassert not {'polars', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=_ENVIRONMENT)
