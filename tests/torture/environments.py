"""Builds and studies under other hash seeds, locales, time zones, workers and paths.

Every run is a fresh interpreter, because these settings are read when it starts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from torture.arena import STUDY

_C: Final = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

MATRIX: Final[dict[str, tuple[dict[str, str], int, str]]] = {
    "as it is": ({}, 1, "plain"),
    "hash seed 1": ({"PYTHONHASHSEED": "1"}, 1, "plain"),
    "hash seed 12345": ({"PYTHONHASHSEED": "12345"}, 1, "plain"),
    "locale C": ({**_C, "PYTHONHASHSEED": "0"}, 1, "plain"),
    "locale C.UTF-8": ({"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}, 1, "plain"),
    "time zone Pacific/Kiritimati": ({"TZ": "Pacific/Kiritimati"}, 1, "plain"),
    "time zone America/St_Johns": ({"TZ": "America/St_Johns"}, 1, "plain"),
    "two workers": ({}, 2, "plain"),
    "spaces and umlauts": ({}, 1, "mit Leerzeichen und Ümläuten"),
    "all at once": ({**_C, "PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu"}, 2, "ä b"),
}
"""Environment, number of workers and name of the folder, by the name of the row."""


def results(out: Path) -> dict[str, Any]:
    """Return what must be equal: digests of datasets, of weights and answers, and the metrics."""
    found: dict[str, Any] = {}
    for role in ("catalog", "imax", "dmax"):
        found[role] = json.loads((out / role / "manifest.json").read_text())["files"]
    for arm in ("dmax", "imax", "imax-equal-compute"):
        path = out / "runs" / arm / "run.json"
        if path.exists():
            found[arm] = json.loads(path.read_text())["files"]
    comparison = out / "comparison.json"
    if comparison.exists():
        found["comparison"] = json.loads(comparison.read_text())
    return found


def trials(arena: Path, command: str, *, done: set[str]) -> Iterator[dict[str, Any]]:
    """Yield one record per row of the matrix, whose results must be those of the first row.

    Args:
        arena: Folder for the outputs.
        command: ``build`` or ``study``.
        done: Names of trials that are not repeated.
    """
    kept = arena / f"environment-{command}.json"
    for name, (environment, workers, folder) in MATRIX.items():
        trial = f"environment {name}"
        if trial in done:
            continue
        place = arena / folder
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        config = place / "study.yaml"
        config.write_text(json.dumps({**STUDY, "seed": 0, "workers": workers}))
        ended = _run([command, f"{config}", "--out", f"{place / 'out'}"], environment)
        if ended.returncode:
            tail = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
            yield {"trial": trial, "ok": False, "why": [f"ended with {ended.returncode}: {tail}"]}
            continue
        found = results(place / "out")
        if not kept.exists():
            kept.write_text(json.dumps(found))
        wanted = json.loads(kept.read_text())
        differ = [key for key in wanted if found.get(key) != wanted[key]]
        yield {"trial": trial, "ok": not differ, "why": [f"{key} differs" for key in differ]}
        shutil.rmtree(place)


def _run(words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    call = [sys.executable, "-m", "imaxray.cli", *words]
    return subprocess.run(call, check=False, capture_output=True, env={**clean, **environment})
