"""Examines a machine: what imaxray finds there, and what an optional part of it lacks."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final, Literal

from imaxray._common.names import did_you_mean
from imaxray._common.plugins import (
    ANNOTATORS,
    DERIVATIONS,
    FAMILIES,
    FORMATS,
    METRICS,
    SOURCES,
    TASKS,
    plugins,
)
from imaxray._version import __version__
from imaxray.errors import ImaxrayError

State = Literal["ok", "absent", "broken"]

_PACKAGE: Final = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)")
_LEAST: Final = re.compile(r">=\s*([0-9.]+)")
_DEVELOPERS: Final = frozenset({"dev", "bench", "docs"})
"""Extras of those who work on imaxray itself."""


@dataclass(frozen=True)
class Finding:
    """What one line of the examination says.

    Attributes:
        name: What was examined; an extra has the name ``extra NAME``.
        state: ``ok``; ``absent`` if an optional part is not there; ``broken`` if something does not
            work that should.
        said: What was found, and what to do if it is not ok.
        needed: Whether the caller asked for it.
    """

    name: str
    state: State
    said: str
    needed: bool = False


def examine(need: Collection[str] = ()) -> list[Finding]:
    """Examine this machine; nothing is downloaded or changed.

    Args:
        need: Names of extras (``imaxray[NAME]``) that must be complete.

    Raises:
        ImaxrayError: If an extra is unknown.

    Example:
        >>> [finding.name for finding in examine()][:3]
        ['imaxray', 'Python', 'packages']
    """
    extras = extra_packages()
    names = [name for name in extras if name]
    for name in need:
        if name not in names:
            raise ImaxrayError(
                f"Expected the name of an extra, but got {name}; {did_you_mean(name, names)}"
            )
    shown = [name for name in names if name not in _DEVELOPERS or name in need]
    return [
        Finding("imaxray", "ok", f"{__version__} at {Path(__file__).parent}"),
        Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}"),
        _packages("packages", extras.get("", {}), "pip install imaxray", needed=True),
        *(
            _packages(f"extra {name}", extras[name], f"pip install 'imaxray[{name}]'", name in need)
            for name in shown
        ),
        _machine(),
        _gpu(),
        _java(),
        *_disks(),
        _home(),
        *_plug_ins(),
    ]


def extra_packages() -> dict[str, dict[str, str]]:
    """Return the packages of each extra with their bounds; those of imaxray itself are of ``""``.

    They are read from the metadata of the installed package.
    """
    try:
        lines = requires("imaxray") or []
    except PackageNotFoundError:
        return {}
    found: dict[str, dict[str, str]] = {"": {}}
    for line in lines:
        package, extra = _PACKAGE.match(line), _EXTRA.search(line)
        if package is not None:
            of_extra = found.setdefault(extra[1] if extra else "", {})
            of_extra[package[1]] = package[2].strip()
    return found


def _packages(name: str, wanted: dict[str, str], advice: str, needed: bool) -> Finding:
    there, missing = [], []
    for package, bounds in wanted.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            missing.append(f"{package} is not installed")
            continue
        least = _LEAST.search(bounds)
        if least is not None and _numbers(found) < _numbers(least[1]):
            missing.append(f"{package} is {found}, not at least {least[1]}")
        else:
            there.append(f"{package} {found}")
    if not wanted:
        return Finding(
            name, "broken", "the metadata of the installed package are not there", needed
        )
    if missing:
        return Finding(name, "broken" if needed else "absent", f"{', '.join(missing)}; {advice}",
                       needed)  # fmt: skip
    return Finding(name, "ok", ", ".join(there), needed)


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version.

    Example:
        >>> _numbers("2.13.0+cpu") >= _numbers("2.6")
        True
    """
    release = re.match(r"[0-9.]+", text)
    parts = [] if release is None else release[0].strip(".").split(".")
    return tuple(int(part) for part in parts if part)


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = f"{platform.system()} on {platform.machine()}, {cores} cores"
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        said += f", {memory / 2**30:.0f} GiB of memory"
    except (AttributeError, OSError, ValueError):  # this system does not say
        pass
    return Finding("machine", "ok", said)


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("GPU", "absent", "not looked for, because torch is not installed")
    except Exception as error:
        return Finding("GPU", "broken", f"torch cannot be loaded ({_line(error)})")
    if not torch.cuda.is_available():
        return Finding("GPU", "absent", f"torch {torch.__version__} sees none; models run on CPU")
    names = [
        f"{torch.cuda.get_device_name(n)} ({torch.cuda.mem_get_info(n)[1] / 2**30:.0f} GiB)"
        for n in range(torch.cuda.device_count())
    ]
    return Finding("GPU", "ok", f"{', '.join(names)}; CUDA {torch.version.cuda}")


def _java() -> Finding:
    found = shutil.which("java")
    if found is None:
        return Finding("Java", "absent", "not installed; only METEOR (extra captions) needs it")
    return Finding("Java", "ok", found)


def _disks() -> Iterator[Finding]:
    folders = {"current folder": Path.cwd(), "temporary folder": Path(tempfile.gettempdir())}
    for name, folder in folders.items():
        free = shutil.disk_usage(folder).free / 2**30
        state: State = "ok" if free >= 1 else "broken"
        yield Finding(name, state, f"{free:,.1f} GiB free at {folder}")


def _home() -> Finding:
    """Try to write where models are downloaded to."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    place = next((p for p in (home, *home.parents) if p.is_dir()), home)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(
            "home", "broken",
            f"models cannot be kept at {home} ({error.strerror}); set HF_HOME to a folder that can "
            "be written",
        )  # fmt: skip
    return Finding("home", "ok", f"models are kept at {home}")


def _plug_ins() -> Iterator[Finding]:
    """Load every plug-in of other packages, as the first command that uses it would."""
    checks: dict[str, Callable[[str], object]] = {
        SOURCES: _source, TASKS: _task, METRICS: _metric, FAMILIES: _load_of(FAMILIES),
        FORMATS: _load_of(FORMATS), DERIVATIONS: _load_of(DERIVATIONS),
        ANNOTATORS: _load_of(ANNOTATORS),
    }  # fmt: skip
    said, broken = [], []
    for group, check in checks.items():
        for name in sorted(plugins(group)):
            kind = group.removeprefix("imaxray.")
            try:
                check(name)
                said.append(f"{name} ({kind})")
            except ImaxrayError as error:
                broken.append(Finding(f"plug-in {name}", "broken", _line(error)))
    yield Finding("plug-ins", "ok", ", ".join(said) or "no other package adds any")
    yield from broken


def _source(name: str) -> object:
    from imaxray.sources import get_source

    return get_source(name)


def _task(name: str) -> object:
    from imaxray.tasks import get_task

    return get_task(name)


def _metric(name: str) -> object:
    from imaxray.metrics import get_extra

    return get_extra(name)


def _load_of(group: str) -> Callable[[str], object]:
    return lambda name: plugins(group)[name].load()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def complete(findings: Collection[Finding]) -> bool:
    """Return whether everything that the caller needs is there.

    Example:
        >>> complete([Finding("extra vllm", "absent", "…"), Finding("home", "ok", "…")])
        True
    """
    return not any(finding.needed and finding.state != "ok" for finding in findings)
