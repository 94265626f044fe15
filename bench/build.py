"""IMAX and DMAX from releases of MIMIC-CXR's true size: seconds, memory, and against what.

    python bench/build.py [--releases FOLDER] [--times 1] [--skip-pandas]

Four programs in turn, each in a process of its own, over the same files:

floor    only decompresses and parses: zipfile, gzip, orjson, Polars' CSV reader; one process
floor 2  the same with the two archives shared between two processes
imaxray  `imaxray build mimic` with two workers: read, join, check, account, make
         entries, select IMAX, match DMAX, write the three datasets
pandas   the same join as a straightforward script (bench/build_pandas.py): no account, no rejects,
         no checks, DMAX sampled instead of assigned; Parquet at the end

Without --releases the phantom is written to a temporary folder first (some five minutes, not
counted). Prints a table and, as its last line, one JSON object. `peak_gb` is the resident memory of
the process and its workers together, sampled ten times a second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import psutil
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
GRAPHS = "chest-imagenome/silver_dataset/scene_graph.zip"
REPORTS = "mimic-cxr/mimic-cxr-reports.zip"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build and match at the scale of MIMIC-CXR.")
    parser.add_argument("--releases", type=Path, help="a phantom written before")
    parser.add_argument("--times", type=float, default=1.0, help="so many MIMIC-CXRs")
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
        # the floor first: it warms the file cache for everyone
        runs = {}
        for part, command in programs.items():
            runs[part] = _measured(command)
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
    print(f"imaxray, seconds a step: {steps}")
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


def _measured(command: list[str]) -> dict[str, Any]:
    """Seconds, peak memory of the process tree, and the JSON of the program's last line."""
    peak = 0
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))

    def watch() -> None:
        nonlocal peak
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                everyone = [tree, *tree.children(recursive=True)]
                peak = max(peak, sum(member.memory_info().rss for member in everyone))
            except psutil.Error:
                pass  # one of them has just ended
            time.sleep(0.1)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    text, _ = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    lines = text.strip().splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return {"seconds": seconds, "peak_gb": peak / 1e9, **told}


def _phantom(out: Path, times: float, *, archives: bool) -> None:
    command = ["-m", "imaxray.cli", "phantom", str(out), "--scale", "mimic", "--no-images"]
    more = [] if archives else ["--no-archives"]
    subprocess.run([sys.executable, *command, "--times", str(times), *more], check=True)


def _imaxray(releases: Path, out: Path) -> None:
    from imaxray._memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    from imaxray.study import build_study_data, load_config

    config = load_config("mimic")
    present = {name: path for name, path in config.releases.items() if (releases / path).is_dir()}
    update: dict[str, Any] = {"verify": "none", "releases": present}
    if len(present) < len(config.releases):
        # without reports and scene graphs no image has so many tasks: take all that qualify
        update["imax"] = config.imax.model_copy(
            update={"target_entries": None, "tasks_per_image": None, "entries_per_image": None}
        )
    match = build_study_data(config.model_copy(update=update), out, root=releases)
    told = {"steps": match["build_seconds"], "imax": match["imax"], "dmax": match["dmax"]}
    print(json.dumps(told))


def _floor(releases: Path, processes: int) -> None:
    import polars as pl  # here: its allocator is set before the import, in the part that is ours

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
