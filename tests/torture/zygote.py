"""Forks commands from a process that has imported everything, so that a start takes milliseconds.

The process that forks must never use Polars or torch itself, because their threads do not survive
a fork. It only imports them. Worker processes of a command come from a fork server that has
imported everything, too; they end with their parent as the workers of an ordinary command do.
"""

from __future__ import annotations

import errno
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

MODULES: Final = (
    "imaxray.cli.commands", "imaxray.cli.border", "imaxray.ablation", "imaxray.study",
    "imaxray.strategy", "imaxray.pseudo", "imaxray.derive",
    "imaxray.dynamics", "imaxray.cache.writer", "imaxray.cache.executors", "imaxray.export",
    "imaxray.report", "imaxray.training.run", "imaxray.training.dataset_run",
    "imaxray.evaluation.generation.evaluate", "imaxray.pseudo.annotating.annotation",
    "imaxray.study.run", "imaxray.study.work", "imaxray.study.reporting.write",
    "imaxray.strategy.run", "imaxray.models.phantom", "imaxray.phantom",
    "imaxray.ablation.reporting.write", "imaxray.strategy.reporting.write",
)  # fmt: skip

LIGHT: Final = (
    "imaxray.cli.commands", "imaxray.cli.border", "imaxray.study.build", "imaxray.study.prepare",
    "imaxray.study.config",
    "imaxray.cache.writer", "imaxray.derive", "imaxray.export", "imaxray.phantom",
)  # fmt: skip
"""What commands without a model need."""

WRITES: Final = frozenset({"a", "w", "x", "+"})


@dataclass
class Outcome:
    """Says how a command ended: its exit code (negative: the signal), output and seconds."""

    code: int
    out: str
    error: str
    seconds: float

    @property
    def sentence(self) -> str | None:
        """The one sentence on stderr after progress lines; None if there is none or a traceback."""
        lines = [line for line in self.error.splitlines() if line.startswith("imaxray: ")]
        if "Traceback" in self.error or len(lines) != 1:
            return None
        return lines[0].removeprefix("imaxray: ")


@dataclass
class Point:
    """A call of the system on a file below ``folder``, at which a fault happens.

    Attributes:
        folder: Only calls on files below this folder count.
        number: Number of the call at which the fault happens, from 0; None: never.
        fault: ``kill``, ``full`` (no space left), ``read-only``, or ``wait`` (until ``go`` exists).
        log: File outside the folder that gets one line per call.
        go: File that ends a wait.
    """

    folder: Path
    number: int | None = None
    fault: str = "kill"
    log: Path | None = None
    go: Path | None = None
    seen: int = field(default=0, init=False)
    calls: list[str] = field(default_factory=list, init=False)

    def install(self) -> None:
        """Watch this process; an audit hook cannot be removed, so only a child may call this."""
        below = os.fspath(self.folder)
        flush = os.fsync

        def on_call(event: str, args: tuple[Any, ...]) -> None:
            name = _written(event, args)
            if name is not None and name.startswith(below):
                self._count(event, name)

        def fsync(descriptor: int) -> None:
            name = os.fspath(Path(f"/proc/self/fd/{descriptor}").readlink())
            if name.startswith(below):
                self._count("fsync", name)
            flush(descriptor)

        os.fsync = fsync
        sys.addaudithook(on_call)

    def _count(self, event: str, name: str) -> None:
        number, self.seen = self.seen, self.seen + 1
        self.calls.append(f"{event} {name}")
        if self.number is None or number < self.number:
            return
        if self.fault == "full" and event in ("open", "fsync", "os.mkdir", "os.rename"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        if self.fault == "read-only":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
        if number > self.number:
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "wait":
            assert self.go is not None
            while not self.go.exists():
                time.sleep(0.02)

    def save(self) -> None:
        """Write the log, which must lie outside the folder."""
        if self.log is not None:
            self.log.write_text("\n".join(self.calls))


def _written(event: str, args: tuple[Any, ...]) -> str | None:
    """Return the path that a call changes; None if it changes none."""
    if event == "open":
        path, mode, flags = args
        changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if mode is None else (
            WRITES & set(str(mode))
        )  # fmt: skip
        return os.fsdecode(path) if changes and not isinstance(path, int) and path else None
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link"):
        return os.fsdecode(args[1 if event in ("os.rename", "os.symlink", "os.link") else 0])
    return None


def warm(*, light: bool = False) -> None:
    """Import everything, and start the fork server of the workers.

    Args:
        light: Whether to import only what commands without a model need, which takes a second.
    """
    if light:
        for module in LIGHT:
            importlib.import_module(module)
        return
    multiprocessing.set_forkserver_preload(list(MODULES))
    from multiprocessing import forkserver

    forkserver.ensure_running()
    server = forkserver._forkserver  # type: ignore[attr-defined]
    # A forked command asks whether the server lives by waiting for it, which only its parent can.
    server.ensure_running = lambda: None
    for module in MODULES:
        importlib.import_module(module)
    from imaxray._common import workers as _workers

    def context(method: str) -> Any:
        return multiprocessing.get_context("forkserver" if method == "spawn" else method)

    _workers.get_context = context  # type: ignore[assignment]


class Process:
    """A command that runs."""

    def __init__(
        self,
        arguments: Sequence[str],
        logs: Path,
        *,
        point: Point | None = None,
        before: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._files = logs / "stdout", logs / "stderr"
        self._began = time.perf_counter()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                os.setsid()
                for number, path in enumerate(self._files, start=1):
                    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
                os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
                os.environ.update(environment or {})
                code = _command(arguments, point, before)
            finally:
                os._exit(code)
        self._code: int | None = None
        self.seconds = 0.0

    def signal(self, number: int) -> bool:
        """Send a signal; return whether the command still ran."""
        if self.poll() is not None:
            return False
        os.kill(self.pid, number)
        return True

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._end(status)
        return self._code

    def wait(self, timeout: float = 300.0) -> Outcome:
        """Wait for the end; a command that takes too long is killed and has the code 124."""
        while self.poll() is None:
            if time.perf_counter() - self._began > timeout:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self._code = 124
            time.sleep(0.005)
        texts = [path.read_text(errors="replace") for path in self._files]
        assert self._code is not None
        return Outcome(self._code, *texts, self.seconds)

    def _end(self, status: int) -> None:
        self._code = os.waitstatus_to_exitcode(status)
        self.seconds = time.perf_counter() - self._began


def run(arguments: Sequence[str], logs: Path, **options: Any) -> Outcome:
    """Run a command to its end."""
    return Process(arguments, logs, **options).wait()


def apart(function: Callable[[], None]) -> None:
    """Call a function in a child, for what uses Polars or torch.

    Raises:
        RuntimeError: If it raised.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise RuntimeError("the child failed; its traceback is on stderr")


def _command(
    arguments: Sequence[str], point: Point | None, before: Callable[[], None] | None
) -> int:
    """Run the command line as the program ``imaxray`` does, and return its exit code."""
    from imaxray.cli import main

    sys.argv = ["imaxray", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if before is not None:
        before()
    if point is not None:
        point.install()
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    sys.stdout.flush()
    sys.stderr.flush()
    if point is not None:
        point.save()
    return code
