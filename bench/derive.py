"""Measures time, memory and yield of deriving the DMAX of MIMIC-CXR's size.

    python bench/derive.py RELEASES [--data FOLDER] [--workers 2]

RELEASES is a folder that `imaxray phantom RELEASES --scale mimic --no-images` wrote; the script
builds the datasets of configs/mimic.yaml from it. With --data, it uses the datasets that FOLDER
holds (`dmax/`, as `imaxray build mimic` wrote them). The command runs in a process of its own. The
script prints tables and, as its last line, one JSON object. `peak_gb` is the resident memory of the
process and its workers together, sampled ten times per second.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from measure import measured

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("releases", type=Path, nargs="?")
    parser.add_argument("--data", type=Path, help="folder of datasets that exist already")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if (args.releases is None) is (args.data is None):
        parser.error("give either RELEASES or --data")
    with tempfile.TemporaryDirectory() as name:
        data = args.data or Path(name) / "data"
        if args.data is None:
            build = [sys.executable, str(HERE / "build.py"), "--part", "imaxray"]
            measured([*build, "--releases", str(args.releases), "--out", str(data)])
        found = _derived(data / "dmax", Path(name) / "derived", args.workers)
    _print(found)
    print(json.dumps(found))


def _derived(dmax: Path, out: Path, workers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "imaxray.cli", "derive", str(dmax), "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = measured([*command, "--workers", str(workers), "--format", "json"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads((out / "derive.json").read_text())
    counts = report["counts"]
    whole = [row for row in report["rules"] if row["reading"] is None]
    return {
        "seconds": run["seconds"],
        "cpu_seconds": cpu,  # of all processes; other programs on the machine do not change it
        "peak_gb": run["peak_gb"],
        "workers": workers,
        "real": counts["real"],
        "derived": counts["derived"],
        "entries": sum(counts["real"].values()),
        "gained": sum(counts["derived"].values()),
        "off": {row["rule"]: row["why"] for row in whole if not row["used"]},
    }


def _print(found: dict[str, Any]) -> None:
    spent = f"{found['seconds']:.0f} s ({found['cpu_seconds']:.0f} s of processors)"
    table = Table(title=f"{spent}, {found['peak_gb']:.2f} GB")
    for column in ("task", "real", "derived"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for task in sorted({*found["real"], *found["derived"]}):
        row = (found["real"].get(task, 0), found["derived"].get(task, 0))
        table.add_row(task, *(f"{n:,}" for n in row))
    table.add_row("all", f"{found['entries']:,}", f"{found['gained']:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
