"""Building a phantom data set: images per second of table work, everything but image decoding.

    python bench/build.py [--images 2000] [--repeats 5]

Table work: reading all seven releases, joining, splitting, accounting, making all entries,
selecting IMAX, matching DMAX, writing the three dataset folders. Prints a table and, as its last
line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from imaxray.curation import (
    DmaxConfig,
    ImaxConfig,
    build_catalog,
    match_dmax,
    select_imax,
    write_dataset,
)
from imaxray.phantom import default_workers, write_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of table work.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantom(folder / "phantom", images=args.images, seed=0, workers=default_workers())
        releases = {
            path.name: path
            for path in sorted((folder / "phantom").iterdir())
            if path.is_dir() and path.name != "truth"
        }
        runs = [_build(folder, releases) for _ in range(args.repeats + 1)]
    kept = runs[1:]  # the first run imports and warms the file cache
    steps = {step: statistics.median(run[step] for run in kept) for step in kept[0]}
    build = sum(steps[s] for s in ("read", "join images", "join annotations", "make entries"))
    everything = sum(steps.values())
    table = Table(title=f"{args.images:,} images, median of {len(kept)} builds")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for step, seconds in steps.items():
        table.add_row(step, f"{seconds:.3f}")
    table.add_row("all", f"{everything:.3f}")
    Console().print(table)
    print(
        json.dumps(
            {
                "images": args.images,
                "build_images_per_s": round(args.images / build),
                "build_match_write_images_per_s": round(args.images / everything),
            }
        )
    )


def _build(folder: Path, releases: dict[str, Path]) -> dict[str, float]:
    catalog = build_catalog(releases, verify=False)
    seconds = {k: v for k, v in catalog.seconds.items() if k != "verify images"}
    clock = time.perf_counter()
    imax = select_imax(catalog, ImaxConfig(min_tasks=5))
    seconds["select IMAX"] = time.perf_counter() - clock
    clock = time.perf_counter()
    dmax, _ = match_dmax(catalog, imax, DmaxConfig())
    seconds["match DMAX"] = time.perf_counter() - clock
    clock = time.perf_counter()
    for name, tables in (("catalog", catalog), ("imax", imax), ("dmax", dmax)):
        write_dataset(tables, folder / name, config={}, seed=0)
    seconds["write"] = time.perf_counter() - clock
    return seconds


if __name__ == "__main__":
    main()
