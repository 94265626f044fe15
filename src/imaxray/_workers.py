"""Provides process pools whose workers end when the process that started them ends."""

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
    """Return a pool of worker processes that end with their parent.

    The workers are spawned, not forked, because threads of Polars or torch in the parent do not
    survive a fork. Each worker ends as soon as its parent is gone. An ordinary worker would finish
    its jobs and then wait for ever; a command that was killed and started again would then have two
    sets of workers in one folder.

    Args:
        workers: Maximum number of processes.
        initializer: Function that each process calls before its first job.
        initargs: Arguments of ``initializer``.
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
