"""Measures time and memory of the commands on datasets of MIMIC-CXR's size and of ten times it.

    python bench/scale.py RELEASES... [--keep FOLDER] [--skip STEP ...]

Each RELEASES is a folder that `imaxray phantom RELEASES --scale mimic --no-images` or
`python bench/multiply_tables.py` wrote. Each command runs in a process of its own. There are no
pixels, so the audit leaves out the checks that decode images, and the export does not open them.
With --keep, the datasets stay in FOLDER, for `python bench/viewer.py FOLDER/…/catalog --as-it-is`.
The script prints a table and, as its last line, one JSON object. `peak_gb` is the resident memory
of the process and its workers together, sampled ten times per second.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from measure import measured

HERE = Path(__file__).resolve().parent
PIXELS = ("broken-image", "duplicate-image", "duplicate-over-splits", "near-duplicate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("releases", type=Path, nargs="+")
    parser.add_argument("--skip", nargs="*", default=[], help="steps that are left out")
    parser.add_argument("--keep", type=Path, help="folder in which the datasets stay")
    args = parser.parse_args()
    runs = {}
    for releases in args.releases:
        with tempfile.TemporaryDirectory(dir=releases.parent) as name:
            kept = None if args.keep is None else args.keep / releases.name
            runs[str(releases)] = _steps(releases, args.skip, Path(name), kept)
    for name, steps in runs.items():
        table = Table(title=name)
        for column in ("step", "rows", "seconds", "peak GB", "µs per row"):
            table.add_column(column, justify="left" if column == "step" else "right")
        for step, run in steps.items():
            each = 1e6 * run["seconds"] / max(run["rows"], 1)
            seconds, peak = f"{run['seconds']:.1f}", f"{run['peak_gb']:.2f}"
            table.add_row(step, f"{run['rows']:,}", seconds, peak, f"{each:.1f}")
        Console().print(table)
    print(json.dumps(runs))


def _steps(
    releases: Path, skip: list[str], out: Path, kept: Path | None
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    data = kept or out / "data"
    build = [sys.executable, str(HERE / "build.py"), "--part", "imaxray"]
    found["build"] = measured([*build, "--releases", str(releases), "--out", str(data)])
    counts = {part: _counts(data / part) for part in ("catalog", "imax")}
    found["build"]["rows"] = counts["catalog"]["images"]

    def step(what: str, rows: str, *arguments: str | Path) -> None:
        if what in skip:
            return
        command = [sys.executable, "-m", "imaxray.cli", *map(str, arguments)]
        result = measured(command, allowed=(0, 1))  # 1: the audit has findings
        rows_of = {**counts["imax"], "catalog": counts["catalog"]["entries"]}
        found[what] = {**result, "rows": rows_of[rows]}
        print(f"{what}: {result['seconds']:.1f} s", file=sys.stderr, flush=True)

    catalog, imax = data / "catalog", data / "imax"
    skipped = [word for code in PIXELS for word in ("--skip", code)]
    step("stats of the catalog", "catalog", "stats", catalog)
    step("match", "catalog", "match", catalog, imax, "--out", out / "dmax")
    step("audit of IMAX", "entries", "audit", imax, *skipped)
    step("audit of the catalog", "catalog", "audit", catalog, *skipped)
    step("export of IMAX", "entries", "export", imax, "--format", "llava", "--boxes",
         "percent", "--no-headers", "--out", out / "llava")  # fmt: skip
    step("share of the catalog", "catalog", "share", catalog, "--out", out / "shared")
    step("verify of the catalog", "catalog", "verify", catalog)
    for run in found.values():
        for key in set(run) - {"seconds", "peak_gb", "rows"}:
            del run[key]
        run["seconds"], run["peak_gb"] = round(run["seconds"], 1), round(run["peak_gb"], 2)
    return found


def _counts(folder: Path) -> dict[str, int]:
    counts = json.loads((folder / "manifest.json").read_text())["counts"]
    return {"images": counts["images"], "entries": sum(counts["entries"].values())}


if __name__ == "__main__":
    main()
