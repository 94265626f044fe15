"""Measures time and memory of building IMAX and DMAX from releases of MIMIC-CXR's true size.

    python bench/build.py [--releases FOLDER] [--times 1] [--skip-pandas]

Four programs run one after the other over the same files, each in a process of its own:

floor    only decompresses and parses with zipfile, gzip, orjson and the CSV reader of Polars, in
         one process
floor 2  does the same as floor, but two processes share the two archives
imaxray  runs `imaxray build mimic` with two workers: reads, joins, checks and counts rows, makes
         entries, selects IMAX, matches DMAX and writes the three datasets
pandas   does the same join as a simple script (bench/build_pandas.py) that writes Parquet; it does
         not count, check or reject rows, and samples DMAX instead of assigning it

Without --releases, the script first writes the phantom to a temporary folder; this takes about five
minutes, which are not counted. It prints a table and, as its last line, one JSON object. `peak_gb`
is the resident memory of the process and its workers together, sampled ten times per second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from measure import measured

HERE = Path(__file__).resolve().parent
GRAPHS = "chest-imagenome/silver_dataset/scene_graph.zip"
REPORTS = "mimic-cxr/mimic-cxr-reports.zip"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build and match at the scale of MIMIC-CXR.")
    parser.add_argument("--releases", type=Path, help="folder of an existing phantom")
    parser.add_argument("--times", type=float, default=1.0, help="size in units of MIMIC-CXR")
    parser.add_argument("--tables-only", action="store_true", help="no reports, no scene graphs")
    parser.add_argument("--skip-pandas", action="store_true")
    parser.add_argument("--part", choices=["floor", "floor2", "imaxray"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part == "imaxray":
        _imaxray(args.releases, args.out)
        return
    if args.part:
        _floor(args.releases, 2 if args.part == "floor2" else 1)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        releases = args.releases or folder / "mimic"
        if args.releases is None:
            _phantom(releases, args.times, archives=not args.tables_only)
        here = [sys.executable, str(Path(__file__))]
        again = ["--releases", str(releases), "--out", str(folder / "study")]
        programs = {part: [*here, "--part", part, *again] for part in ("floor", "floor2")}
        programs["imaxray"] = [*here, "--part", "imaxray", *again]
        if not args.skip_pandas:
            script = str(HERE / "build_pandas.py")
            programs["pandas"] = [sys.executable, script, str(releases), str(folder / "pandas")]
        # the floor runs first, because it warms the file cache for all programs
        runs = {}
        for part, command in programs.items():
            runs[part] = measured(command)
            print(f"{part}: {runs[part]['seconds']:.1f} s", file=sys.stderr, flush=True)
    _print(runs)


def _print(runs: dict[str, dict[str, Any]]) -> None:
    ours = runs["imaxray"]
    table = Table(title="Releases of MIMIC-CXR's size to IMAX and DMAX")
    for column in ("program", "seconds", "over floor", "peak GB"):
        table.add_column(column, justify="left" if column == "program" else "right")
    for part, run in runs.items():
        ratio = run["seconds"] / runs["floor"]["seconds"]
        table.add_row(part, f"{run['seconds']:.1f}", f"{ratio:.2f}", f"{run['peak_gb']:.1f}")
    Console().print(table)
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in ours["steps"].items())
    print(f"imaxray, seconds per step: {steps}")
    print(
        json.dumps(
            {
                "seconds": round(ours["seconds"], 1),
                "peak_gb": round(ours["peak_gb"], 2),
                "over_floor": round(ours["seconds"] / runs["floor"]["seconds"], 2),
                "over_floor_two_processes": round(
                    ours["seconds"] / runs["floor2"]["seconds"], 2
                ),
                "over_pandas": round(ours["seconds"] / runs["pandas"]["seconds"], 3)
                if "pandas" in runs
                else None,
                "train_entries": ours["imax"]["entries"],
                "tasks_per_image": round(ours["imax"]["tasks_per_image"], 3),
                "entries_per_image": round(ours["imax"]["entries_per_image"], 3),
                "dmax_tasks_per_image": round(ours["dmax"]["tasks_per_image"], 3),
                "dmax_equal_per_task": ours["imax"]["entries_per_task"]
                == ours["dmax"]["entries_per_task"],
            }
        )
    )  # fmt: skip


def _phantom(out: Path, times: float, *, archives: bool) -> None:
    command = ["-m", "imaxray.cli", "phantom", str(out), "--scale", "mimic", "--no-images"]
    more = [] if archives else ["--no-archives"]
    subprocess.run([sys.executable, *command, "--times", str(times), *more], check=True)


def _imaxray(releases: Path, out: Path) -> None:
    from imaxray._common.memory import keep_freed_memory

    keep_freed_memory()  # the command line calls it, too
    from imaxray.study import build_study_data, load_config

    config = load_config("mimic")
    present = {name: path for name, path in config.releases.items() if (releases / path).is_dir()}
    update: dict[str, Any] = {"verify": "none", "releases": present}
    if len(present) < len(config.releases):
        # without reports and scene graphs no image has enough tasks, so all eligible ones are taken
        update["imax"] = config.imax.model_copy(
            update={"target_entries": None, "tasks_per_image": None, "entries_per_image": None}
        )
    match = build_study_data(config.model_copy(update=update), out, root=releases)
    told = {"steps": match["build_seconds"], "imax": match["imax"], "dmax": match["dmax"]}
    print(json.dumps(told))


def _floor(releases: Path, processes: int) -> None:
    import polars as pl  # imported here, so that `imaxray` can set the allocator before its import

    for path in sorted(releases.rglob("*.csv*")):
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        pl.read_csv(data, infer_schema=False, truncate_ragged_lines=True)
    for path in sorted(releases.rglob("*.json")):
        orjson.loads(path.read_bytes())
    archives = [releases / name for name in (GRAPHS, REPORTS) if (releases / name).exists()]
    work = [(path, k, processes) for path in archives for k in range(processes)]
    if processes == 1:
        for piece in work:
            _parse_archive(*piece)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for job in [pool.submit(_parse_archive, *piece) for piece in work]:
            job.result()


def _parse_archive(path: Path, first: int, step: int) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist()[first::step]:
            content = archive.read(member)
            if path.name == Path(GRAPHS).name:
                orjson.loads(content)
            else:
                content.decode()


if __name__ == "__main__":
    main()
