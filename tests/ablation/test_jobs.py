"""Tests the order of jobs that depend on each other, jobs that are added later, and failures."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.ablation.jobs import Job, run_jobs


def nothing(key, result):
    return ()


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=10), st.integers(1, 3))
def test_a_job_starts_after_all_that_it_needs(needs, threads):
    done, lock = [], threading.Lock()

    def call(number):
        with lock:
            done.append(number)
        return number * number

    jobs = {
        n: Job((call, (n,)), frozenset(k for k in wanted if k < n))
        for n, wanted in enumerate(needs)
    }
    with ThreadPoolExecutor(threads) as pool:
        results = run_jobs(pool, jobs, nothing, threads)
    assert results == {n: n * n for n in jobs}
    for n, job in jobs.items():
        assert all(done.index(k) < done.index(n) for k in job.needs)


def test_a_finished_job_may_add_others():
    def more(key, result):
        return [(key + 1, Job((abs, (-key - 1,)), frozenset({key})))] if key < 3 else []

    with ThreadPoolExecutor(1) as pool:
        assert run_jobs(pool, {0: Job((abs, (0,)))}, more, 1) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_a_failure_is_raised_and_nothing_later_starts():
    started = []
    jobs = {
        "bad": Job((int, ("x",))),
        "later": Job((started.append, (1,)), frozenset({"bad"})),
    }
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="invalid literal"):
        run_jobs(pool, jobs, nothing, 2)
    assert not started


def test_jobs_that_wait_for_each_other_are_named():
    jobs = {"a": Job((abs, (1,)), frozenset({"b"})), "b": Job((abs, (1,)), frozenset({"a"}))}
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match=r"a.*b"):
        run_jobs(pool, jobs, nothing, 2)


def test_the_first_job_that_can_start_goes_before_later_ones():
    order = []
    jobs = {
        name: Job((order.append, (name,)), frozenset(needs))
        for name, needs in {"a": "", "b": "a", "c": "", "d": ""}.items()
    }
    with ThreadPoolExecutor(1) as pool:
        run_jobs(pool, jobs, nothing, 1)
    assert order == ["a", "b", "c", "d"]
