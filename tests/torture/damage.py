"""Damages each file that a command reads, one at a time, and looks whether the command notices."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from torture import same
from torture.arena import Command
from torture.kill import Trials, Undisturbed
from torture.zygote import Outcome, Point

Spoil = Callable[[Path, random.Random], None]


def _cut(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _flip_unseen(path: Path, draw: random.Random) -> None:
    """Flip a bit and keep the time, so that only reading the file can tell."""
    about = path.stat()
    _flip(path, draw)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _remove(path: Path, _: random.Random) -> None:
    path.unlink()


SPOILS: Final[dict[str, Spoil]] = {
    "cut": _cut, "emptied": _empty, "flipped": _flip, "removed": _remove,
}  # fmt: skip
"""Ways to damage a file; ``replaced`` and ``unseen`` need more than the file."""

_BY_HAND: Final = ("roots.json",)
"""Files that a user may edit, whose content nothing can check."""

_KEPT: Final = re.compile(r"\.old-\d+")
"""Where an earlier run is moved that is trained anew."""

_WITHOUT_DIGEST: Final = (
    "build.yaml",
    "study.yaml",
    "recipe.yaml",
    "strategy.yaml",
    "ablation.yaml",
    "base/",
)
"""Inputs that a user brings: configurations, and a folder with a model.

A changed one is another input, and its result is another result. Only what cannot be read must be
a sentence.
"""


def inputs(arena: Path, command: Command) -> list[Path]:
    """Return the files that a command reads, without the files of releases."""
    found: list[Path] = []
    for name in command.reads:
        path = arena / name
        if name.endswith("releases") or not path.exists():
            continue
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        found += [p for p in inside if p.name != same.MEMORY and p.name not in _BY_HAND]
    found = [path for path in found if "/releases/" not in path.as_posix()]
    return found


def trials(
    arena: Path,
    other: Path,
    command: Command,
    *,
    flips: int,
    seed: int,
    done: set[str],
    share: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """Damage the inputs of a command, its own finished output, and its own unfinished output.

    Args:
        arena: Folder of the inputs.
        other: Inputs of another seed, whose files replace the first ones.
        command: The command.
        flips: Number of flipped bits per file, each tried alone.
        seed: Seed of the bits.
        done: Names of trials that are not repeated.
        share: Share of the trials that are made, drawn by their names.
    """

    def drawn(title: str) -> bool:
        return random.Random(f"{seed} {command.name} {title} drawn").random() < share

    work = Trials(arena, command)
    wanted = work.undisturbed()
    for path in inputs(arena, command):
        name = path.relative_to(arena).as_posix()
        brought = name.startswith(_WITHOUT_DIGEST)
        for trial, spoil in _spoils(path, None if brought else other / name, flips):
            if brought and trial.startswith(("flipped", "unseen")):
                continue
            title = f"input {trial} {name}"
            if title not in done and drawn(title):
                draw = random.Random(f"{seed} {command.name} {title}")
                work.fresh()
                yield {"trial": title, **_judge(work, wanted, path, spoil, draw, trial)}
    for state, prepare in (("finished", _finish), ("unfinished", _begin)):
        for name in _own_files(work, wanted, prepare):
            for trial, spoil in _spoils(work.work / name, None, flips):
                title = f"{state} {trial} {name}"
                if title in done or not drawn(title):
                    continue
                prepare(work, wanted)
                path = work.work / name
                draw = random.Random(f"{seed} {command.name} {title}")
                if path.is_file():
                    yield {"trial": title, **_judge(work, wanted, path, spoil, draw, trial)}


def _spoils(path: Path, other: Path | None, flips: int) -> Iterator[tuple[str, Spoil]]:
    for name, spoil in SPOILS.items():
        if name == "flipped":
            yield from ((f"flipped-{k}", spoil) for k in range(flips))
        else:
            yield name, spoil
    if other is not None and other.is_file() and other.read_bytes() != path.read_bytes():
        yield "replaced", lambda target, _: target.write_bytes(other.read_bytes()) and None
    yield "unseen", _flip_unseen


def _judge(
    work: Trials, wanted: Undisturbed, path: Path, spoil: Spoil, draw: random.Random, trial: str
) -> dict[str, Any]:
    """Run the command over a damaged file: it must say so, or its output must be the same."""
    with spoiled(path, spoil, draw) as changed:
        if not changed:
            return {"ok": True, "said": "nothing to damage", "killed": False}
        full = ["--verify", "full"] if trial == "unseen" else []
        ended = work.start(first=full).wait()
    return judged(work, wanted, path, ended)


def judged(work: Trials, wanted: Undisturbed, path: Path, ended: Outcome) -> dict[str, Any]:
    """Judge how a command ended over a damaged file."""
    brought = path.relative_to(work.arena).as_posix().startswith(_WITHOUT_DIGEST)
    if ended.code == 0 and brought:
        return {"ok": True, "said": "a part of a model that it does not need"}
    if ended.code == 0:
        differ = same.differences(work.tree(), wanted.tree)
        about = [what for what in differ if path.name not in what] if path.exists() else differ
        # a study trains a damaged run anew and keeps the damaged one, which its worker tells
        about = [what for what in about if not _KEPT.search(what)]
        if same.tells(work.out / "page.html", path.name):
            about = []
        return {"ok": not about, "said": "the same output", "why": about[:10]}
    said = ended.sentence
    if ended.code != 2 or said is None:
        tail = ended.error.strip().splitlines()[-1:] or ["nothing"]
        return {"ok": False, "why": [f"ended with {ended.code}: {tail[0]}"]}
    named = path.name in said or path.stem in said or path.parent.name in said
    return {"ok": named, "said": said, "why": [] if named else [f"does not name it: {said}"]}


@contextmanager
def spoiled(path: Path, spoil: Spoil, draw: random.Random) -> Iterator[bool]:
    """Damage a file for the block; yield whether its content has changed. It is restored then."""
    before, about = path.read_bytes(), path.stat()
    if before:
        spoil(path, draw)
    try:
        yield bool(before)
    finally:
        if path.parent.is_dir():
            path.write_bytes(before)
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _finish(work: Trials, wanted: Undisturbed) -> None:
    """Put a finished output into the work folder."""
    kept = work.arena / f"finished-{work.command.name}"
    if not kept.exists():
        work.fresh()
        if work.start().wait().code:
            raise RuntimeError(f"{work.command.name} fails")
        shutil.copytree(work.work, kept, symlinks=True)
    shutil.rmtree(work.work, ignore_errors=True)
    shutil.copytree(kept, work.work, symlinks=True)


def _begin(work: Trials, wanted: Undisturbed) -> None:
    """Put an output into the work folder whose command was killed late."""
    kept = work.arena / f"begun-{work.command.name}"
    if not kept.exists():
        work.fresh()
        late = _late(wanted)
        if work.start(Point(work.work, late)).wait().code != -signal.SIGKILL:
            raise RuntimeError(f"{work.command.name} was not killed")
        shutil.copytree(work.work, kept, symlinks=True)
    shutil.rmtree(work.work, ignore_errors=True)
    shutil.copytree(kept, work.work, symlinks=True)


def _late(wanted: Undisturbed) -> int:
    """Return a call at two thirds of the calls, where much is begun and little is finished."""
    return max(1, 2 * len(wanted.calls) // 3)


def _own_files(
    work: Trials, wanted: Undisturbed, prepare: Callable[[Trials, Undisturbed], None]
) -> list[str]:
    prepare(work, wanted)
    found = (p for p in sorted(work.work.rglob("*")) if p.is_file() and not p.is_symlink())
    names = [path.relative_to(work.work).as_posix() for path in found if path.name != same.MEMORY]
    return [name for name in names if not _is_temporary(name) and not _is_image(name)]


def _is_temporary(name: str) -> bool:
    return any(part.endswith((".part", ".lock", ".old")) for part in name.split("/"))


def _is_image(name: str) -> bool:
    """Tell whether a file is one of many images or reports of a release, which sources check."""
    return "/releases/" in name or name.endswith((".jpg", ".png", ".dcm"))
