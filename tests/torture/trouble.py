"""Lets the disk run full, makes the output read-only, and takes inputs away while a command runs.

Each fault must end the command with one sentence and exit code 2, must damage nothing, and once it
is gone, the same command must finish with the same output as an undisturbed run.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torture import same
from torture.arena import Command
from torture.kill import Trials, Undisturbed
from torture.locks import settled
from torture.zygote import Outcome, Point


def trials(
    arena: Path, command: Command, *, times: int, done: set[str]
) -> Iterator[dict[str, Any]]:
    """Yield one record per fault.

    Args:
        arena: Folder of the inputs.
        command: The command.
        times: Number of moments of each kind of fault.
        done: Names of trials that are not repeated.
    """
    work = Trials(arena, command)
    wanted = work.undisturbed()
    calls = len(wanted.calls)
    for fault in ("full", "read-only"):
        for number in sorted({calls * k // times for k in range(times)}):
            name = f"{fault} {number}"
            if name not in done:
                work.fresh()
                ended = work.start(Point(work.work, number, fault)).wait()
                yield {"trial": name, **_judged(work, wanted, ended)}
    if may_mount(arena):
        for share in [(k + 1) / (times + 1) for k in range(times)]:
            name = f"tmpfs {share:.3f}"
            if name not in done:
                yield {"trial": name, **_on_tmpfs(work, wanted, share)}
        if "tmpfs-read-only" not in done:
            yield {"trial": "tmpfs-read-only", **_read_only(work, wanted)}
    for name in command.reads:
        for number in sorted({calls * k // (times + 1) for k in range(1, times + 1)}):
            trial = f"vanished {number} {name}"
            if trial not in done:
                yield {"trial": trial, **_vanished(work, wanted, arena / name, number)}


def _judged(
    work: Trials, wanted: Undisturbed, ended: Outcome, *, vanished: Path | None = None
) -> dict[str, Any]:
    said = []
    if ended.code == 0 and vanished is not None:
        if not same.tells(work.out / "page.html", vanished.name):
            said += same.differences(work.tree(), wanted.tree)
    elif ended.code != 2 or ended.sentence is None:
        tail = ended.error.strip().splitlines()[-1:] or ["nothing"]
        said.append(f"ended with {ended.code}: {tail[0]}")
    said += work.ends_well(wanted)
    return {"ok": not said, "why": said[:10], "said": ended.sentence}


@contextmanager
def _tmpfs(folder: Path, size: int) -> Iterator[None]:
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", f"{folder}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", f"{folder}"], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def may_mount(arena: Path) -> bool:
    """Tell whether this process may mount a tmpfs."""
    place = arena / "mounted"
    place.mkdir(exist_ok=True)
    with suppress(subprocess.CalledProcessError, FileNotFoundError), _tmpfs(place, 4096):
        return True
    return False


def _size(folder: Path) -> int:
    """Return the bytes that the files of a folder take, in whole pages."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(4096 * (1 + path.stat().st_size // 4096) for path in files)


def _on_tmpfs(work: Trials, wanted: Undisturbed, share: float) -> dict[str, Any]:
    """Run on a file system that holds a share of the output; then give it room."""
    size_file = work.arena / f"size-{work.command.name}"
    if not size_file.exists():
        work.fresh()
        work.start().wait()
        size_file.write_text(f"{_size(work.work)}")
    shutil.rmtree(work.work, ignore_errors=True)
    work.work.mkdir()
    with _tmpfs(work.work, max(8192, int(share * int(size_file.read_text())))):
        ended = work.start().wait()
        _mount("-o", "remount,size=512m", f"{work.work}")
        return _judged(work, wanted, ended)


def _read_only(work: Trials, wanted: Undisturbed) -> dict[str, Any]:
    shutil.rmtree(work.work, ignore_errors=True)
    work.work.mkdir()
    with _tmpfs(work.work, 512 * 2**20):
        _mount("-o", "remount,ro", f"{work.work}")
        ended = work.start().wait()
        _mount("-o", "remount,rw", f"{work.work}")
        return _judged(work, wanted, ended)


def _vanished(work: Trials, wanted: Undisturbed, path: Path, number: int) -> dict[str, Any]:
    """Rename an input while the command waits in the middle; put it back afterwards."""
    work.fresh()
    go, hidden = work.arena / "go", path.with_name(f"{path.name}.hidden")
    go.unlink(missing_ok=True)
    process = work.start(Point(work.work, number, "wait", go=go))
    settled(work.work)
    path.rename(hidden)
    try:
        go.touch()
        ended = process.wait()
    finally:
        hidden.rename(path)
    return _judged(work, wanted, ended, vanished=path)
