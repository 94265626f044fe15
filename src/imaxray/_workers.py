"""Provides process pools whose workers end when the process that started them ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from types import TracebackType
from typing import Any

from imaxray._printing import warn_in_sentences, warns_in_sentences


class _Pool(ProcessPoolExecutor):
    """A pool that does not finish its jobs when the user stops the command."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """End the workers at once after Ctrl-C or SIGTERM; otherwise wait for their jobs."""
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            for process in list((self._processes or {}).values()):
                process.kill()
            # not waited for: a pool that was interrupted while it started may never end
            self.shutdown(wait=False, cancel_futures=True)
            return None
        return super().__exit__(exc_type, exc_val, exc_tb)


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
    return _Pool(
        workers,
        get_context("spawn"),
        initializer=_begin,
        initargs=(warns_in_sentences(), initializer, initargs),
    )


def _begin(
    sentences: bool, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]
) -> None:
    warn_in_sentences(sentences)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends its workers
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
