"""Lets only one process at a time write a folder, by a lock file that names its holder.

The file is created exclusively and touched every few seconds. A lock of a dead process is taken
over: on the same machine the process is looked up, and on another machine, where process ids mean
nothing, the lock is dead when it was not touched for minutes. Locks of the operating system are not
used, because shared file systems do not keep them reliably and they do not name their holder.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from imaxray._common import processes
from imaxray.errors import ImaxrayError

LOCK: Final = ".imaxray.lock"
"""Name of the lock file inside a folder that grows."""

HEARTBEAT: Final = 15.0
"""Seconds between two touches of a lock file."""

STALE: Final = 300.0
"""Seconds without a touch after which a lock of another machine counts as dead."""

_EMPTY: Final = 10.0  # seconds; the holder is written right after the file is created

_ORPHANED: Final = 20.0  # seconds; a worker process ends soon after the command that started it

_guard: Final = threading.RLock()
_held: Final[dict[Path, int]] = {}  # lock files of this process and how often each is held
_tokens: Final[dict[Path, str]] = {}  # what tells them from the locks of other processes


@contextmanager
def sole_writer(folder: Path, *, beside: bool = False) -> Iterator[bool]:
    """Hold the lock of ``folder`` until the block ends; a process can hold a lock several times.

    A folder that cannot be written at all is not locked, because the first write into it fails.

    Yields:
        Whether the lock was free before, so that this process did not hold it already.

    Args:
        folder: Folder that the block writes; it is created, unless ``beside`` is set.
        beside: Whether the lock lies beside the folder, because the block replaces the folder.

    Raises:
        ImaxrayError: If another process writes the folder, or has taken its lock over meanwhile
            because this process stood still for minutes.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with sole_writer(folder), sole_writer(folder):
        ...     [path.name for path in folder.iterdir()]
        ['.imaxray.lock']
        >>> list(folder.iterdir())
        []
    """
    folder = folder.resolve()
    path = folder.with_name(f".{folder.name}.lock") if beside else folder / LOCK
    made = not path.parent.exists()
    with _guard:
        token = _tokens.get(path) or _acquire(path, folder)
        if token is not None:
            _tokens[path] = token
            _held[path] = _held.get(path, 0) + 1
            first = _held[path] == 1
    if token is None:
        yield False
        return
    taken_by: dict[str, Any] | None = None
    process = os.getpid()
    stop = threading.Event()
    if first:
        threading.Thread(target=_touch, args=(path, token, stop), daemon=True).start()
    try:
        yield first
    finally:
        if os.getpid() == process:  # a forked child has a copy of the lock, not the lock
            with _guard:
                _held[path] -= 1
                if not _held[path]:
                    del _held[path], _tokens[path]
                    taken_by = _release(path, token)
                    if made:
                        with suppress(OSError):
                            path.parent.rmdir()  # nothing was written into it
        stop.set()
    if taken_by is not None:
        raise ImaxrayError(
            f"Expected to be the only process that writes {folder}, but {_described(taken_by)} "
            f"took it over, because this process stood still for {STALE / 60:g} minutes or its "
            "lock was removed; start the same command again when the other one has finished."
        )


def is_locked(folder: Path) -> bool:
    """Return whether a living process holds the lock inside a folder.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with sole_writer(folder):
        ...     is_locked(folder)
        True
        >>> is_locked(folder)
        False
    """
    path = folder / LOCK
    try:
        return not _is_dead(path, _parsed(path.read_bytes()))
    except OSError:
        return False


def _acquire(path: Path, folder: Path) -> str | None:
    """Create the lock file; return its token, or None if the place cannot be written at all.

    Raises:
        ImaxrayError: If a living process holds the lock.
    """
    myself = _myself()
    until = time.monotonic() + _ORPHANED
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _create(path, myself):
            try:
                content = path.read_bytes()
                holder = _parsed(content)
                dead = _is_dead(path, holder)
            except FileNotFoundError:
                continue  # it was released just now
            if not dead and _is_orphan(holder) and time.monotonic() < until:
                time.sleep(0.05)
                continue
            if not dead:
                raise ImaxrayError(
                    f"Expected {folder} to be written by one process at a time, but "
                    f"{_described(holder)} is writing it; wait until it has finished, or choose "
                    "another folder."
                )
            _break(path, content)
    except OSError:
        return None
    return str(myself["token"])


def _release(path: Path, token: str) -> dict[str, Any] | None:
    """Remove the lock file; if it is another process's by now, leave it and return its holder."""
    try:
        holder = _parsed(path.read_bytes())
    except FileNotFoundError:
        return None  # it was moved or removed with its folder
    if holder is not None and holder.get("token") != token:
        return holder
    path.unlink(missing_ok=True)
    return None


def _create(path: Path, myself: dict[str, Any]) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, json.dumps(myself).encode())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _touch(path: Path, token: str, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        with suppress(OSError):
            holder = _parsed(path.read_bytes())
            if holder is not None and holder.get("token") != token:
                return  # another process took it over, and its own touches must keep it alive
            os.utime(path)


def _break(path: Path, content: bytes) -> None:
    """Remove the lock file of a dead process, unless another process has done so already.

    Only one process does this at a time. A dead process does not release its lock, so the file
    that is read here is the one that is removed.
    """
    breaking = path.with_name(f"{path.name}.break")
    try:
        os.close(os.open(breaking, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        with suppress(FileNotFoundError):
            if _age(breaking) > _EMPTY:  # its process was killed
                breaking.unlink()
        time.sleep(0.01)
        return
    try:
        with suppress(FileNotFoundError):
            if path.read_bytes() == content:
                path.unlink()
    finally:
        breaking.unlink(missing_ok=True)


def _myself() -> dict[str, Any]:
    parent = multiprocessing.parent_process()
    of = {} if parent is None or parent.pid is None else {
        "parent": parent.pid, "parent_process": processes.started(parent.pid),
    }  # fmt: skip
    return {
        **of,
        "host": processes.host(),
        "pid": os.getpid(),
        "machine": processes.machine(),
        "process": processes.started(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "token": uuid.uuid4().hex,
    }


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        holder = json.loads(content)
        return holder if {"host", "pid", "machine", "process", "since"} <= holder.keys() else None
    except (ValueError, AttributeError, RecursionError):
        return None


def _described(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return "an unknown process"
    return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"


def _is_orphan(holder: dict[str, Any] | None) -> bool:
    """Tell whether the holder is a worker process of this machine whose command has ended."""
    if holder is None or "parent" not in holder or holder["machine"] != processes.machine():
        return False
    return processes.has_ended(int(holder["parent"]), holder.get("parent_process"))


def _is_dead(path: Path, holder: dict[str, Any] | None) -> bool:
    if holder is None:
        return _age(path) > _EMPTY
    if holder["machine"] != processes.machine() or os.name == "nt":
        return _age(path) > STALE
    return processes.has_ended(int(holder["pid"]), holder["process"])


def _age(path: Path) -> float:
    """Return the seconds since the last touch, by the clock of the file system."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{LOCK}.") as probe:
            now = Path(probe.name).stat().st_mtime
    except OSError:
        now = time.time()
    return now - path.stat().st_mtime
