"""Makes shards in processes of this machine or on a Ray cluster, with the same bytes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal

from imaxray._common.ray import ray_cluster
from imaxray._common.workers import worker_pool
from imaxray.cache.shard import Shard, ShardJob, write_shard
from imaxray.errors import ImaxrayError

CacheEngine = Literal["local", "ray"]
"""``local``: processes of this machine; ``ray``: a Ray cluster (extra ``ray``)."""

DoneShard = tuple[str, Shard]
"""Id of the process or node that made a shard, and the shard."""


def run(engine: CacheEngine, jobs: Iterable[ShardJob], workers: int) -> Iterator[DoneShard]:
    """Make shards with an engine; ``workers`` applies to ``local``, Ray uses its cluster's CPUs."""
    return run_on_ray(jobs) if engine == "ray" else run_local(jobs, workers)


def run_local(jobs: Iterable[ShardJob], workers: int) -> Iterator[DoneShard]:
    """Make shards in ``workers`` processes; yield each as soon as it is finished.

    Raises:
        ImaxrayError: If :func:`write_shard` raises, or a process was killed.
    """
    jobs = list(jobs)
    if min(workers, len(jobs)) <= 1:
        yield from map(_here, jobs)
        return
    try:
        with worker_pool(min(workers, len(jobs))) as pool:
            for future in as_completed([pool.submit(_here, job) for job in jobs]):
                yield future.result()
    except BrokenProcessPool as error:
        raise ImaxrayError(
            f"Expected {workers} processes to make the cache, but one was killed (out of memory?); "
            "run again with fewer --workers (finished shards are kept)."
        ) from error


def run_on_ray(jobs: Iterable[ShardJob]) -> Iterator[DoneShard]:
    """Make shards as tasks of a Ray cluster, one CPU each; yield each as soon as it is finished.

    The function uses the cluster that this process is connected to. If there is none, it uses the
    cluster that ``RAY_ADDRESS`` or Ray itself names; otherwise it starts one on this machine. All
    nodes must see the releases and the folder of the cache under the same paths.

    Raises:
        ImaxrayError: If Ray is not installed, the cluster cannot be reached, or
            :func:`write_shard` raises.
    """
    with ray_cluster() as ray:
        yield from _tasks(ray, jobs)


def _tasks(ray: Any, jobs: Iterable[ShardJob]) -> Iterator[DoneShard]:
    # Without SPREAD, Ray would fill one node before it uses the next.
    make = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(_on_node)
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = deque(jobs)
    running: list[Any] = []
    try:
        while waiting or running:
            while waiting and len(running) < most:
                running.append(make.remote(waiting.popleft()))
            done, running = ray.wait(running)
            yield from ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImaxrayError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise ImaxrayError(
            f"Expected the Ray cluster to make every shard, but got {type(error).__name__}; run "
            "again (finished shards are kept)."
        ) from error
    finally:
        for task in running:
            ray.cancel(task)


def _here(job: ShardJob) -> DoneShard:
    return str(os.getpid()), write_shard(job)


def _on_node(job: ShardJob) -> DoneShard:
    import ray

    return str(ray.get_runtime_context().get_node_id()), write_shard(job)
