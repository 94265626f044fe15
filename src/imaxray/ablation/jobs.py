"""Runs jobs that depend on each other in several processes, each as soon as it can start."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """A call that starts when other jobs are done.

    Attributes:
        call: Function and its arguments, which a process can receive.
        needs: Keys of the jobs that must be done before.
    """

    call: tuple[Callable[..., Any], tuple[Any, ...]]
    needs: frozenset[Hashable] = frozenset()


def run_jobs(
    pool: Executor,
    jobs: Mapping[Hashable, Job],
    done: Callable[[Hashable, Any], Iterable[tuple[Hashable, Job]]],
    lanes: int,
) -> dict[Hashable, Any]:
    """Run all jobs and return their results by key.

    Whenever a lane is free, the first job in the order of ``jobs`` that can start does.

    Args:
        pool: Processes or threads that run the jobs.
        jobs: Key → job.
        done: Function that receives the key and the result of each finished job and returns
            further jobs.
        lanes: Number of jobs that run at a time.

    Raises:
        ValueError: Jobs wait for each other, or for a job that does not exist.
        Exception: What a job raises; no further job starts then.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> sums = {"a": Job((sum, ([1, 2],))), "b": Job((sum, ([3],)), frozenset({"a"}))}
        >>> with ThreadPoolExecutor(2) as pool:
        ...     run_jobs(pool, sums, lambda key, result: (), lanes=2)
        {'a': 3, 'b': 3}
    """
    waiting = dict(jobs)
    running: dict[Future[Any], Hashable] = {}
    results: dict[Hashable, Any] = {}
    try:
        while waiting or running:
            ready = [key for key, job in waiting.items() if job.needs <= results.keys()]
            for key in ready[: lanes - len(running)]:
                function, arguments = waiting.pop(key).call
                running[pool.submit(function, *arguments)] = key
            if not running:
                raise ValueError(f"these jobs wait for jobs that never run: {list(waiting)}")
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                results[key] = future.result()
                waiting |= dict(done(key, results[key]))
    except BaseException:
        for future in running:
            future.cancel()
        raise
    return results
