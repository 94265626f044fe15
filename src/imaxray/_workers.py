"""Processes that share work, and end with the one that started them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import Any


def worker_pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of processes.

    They are begun afresh: the parent holds threads of Polars or torch, which a fork would cut. One
    ends as soon as its parent is gone. By itself a pool would finish its jobs and then
    wait for ever, and the same command, run again after a kill, would find two at work in one
    folder.

    Args:
        workers: how many, at most.
        initializer: is called in each process first.
        initargs: with these.
    """
    return ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(initializer, initargs)
    )


def _begin(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
