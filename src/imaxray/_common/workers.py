"""Provides process pools whose workers end when the process that started them ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

from imaxray._common.printing import warn_in_sentences, warns_in_sentences

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Pool(ProcessPoolExecutor):
    """A pool that does not finish its jobs when the user stops the command."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Submit a job; a signal that comes while a process starts counts right afterwards.

        The pool would not know a process that was started before a Ctrl-C and is not recorded yet.
        Nobody would end it, and at the end of the program Python would wait for it for ever.
        """
        with _signals_later():
            return super().submit(fn, *args, **kwargs)

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
        self.shutdown(cancel_futures=exc_type is not None)
        return None


@contextmanager
def _signals_later() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM at the end of the block; only the main thread handles signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda *what: came.append(what))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for came_first, frame in came[:1]:
        handlers[signal.Signals(came_first)](came_first, frame)


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
