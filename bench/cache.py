"""Compares the speed of `imaxray cache` with bare decoding, resizing and encoding of images.

    python bench/cache.py [--images 512] [--workers 2] [--repeats 3] [--open ../shared/open-cxr]

The script uses two sets of files: JPEGs of MIMIC's size (2544 × 3056), which are enlarged phantom
radiographs with added film grain, and the open radiographs, if they exist. The bare program is a
minimal script: a pool of the same number of processes opens each file with Pillow, converts it to
grey, resizes it and writes a PNG, with the same filter and the same PNG settings. It does not
verify, orient or record images and does not sync files. Both programs start a new pool and write to
the same disk. Complete runs of both alternate; ratios are taken pair by pair, and the median is
reported. The script prints a table and, as its last line, one JSON object. ``cost_ratio`` is the
wall-clock time of `imaxray cache` divided by that of the bare program. ``cpu_ratio`` is the same
ratio of CPU times, which other load on the machine affects less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from rich.console import Console
from rich.table import Table

from imaxray import radiograph
from imaxray.curation import Tables, write_dataset
from imaxray.phantom import write_phantom
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, conform, empty

SIZE = (2544, 3056)  # width and height in pixels; the most frequent size in MIMIC-CXR-JPG


def main() -> None:
    parser = argparse.ArgumentParser(description="imaxray cache against the bare program.")
    parser.add_argument("--images", type=int, default=512, help="number of phantom radiographs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-side", type=int, default=1024)
    parser.add_argument("--open", type=Path, default=Path("../shared/open-cxr"))
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {"phantom": write_radiographs(folder / "phantom", args.images, args.workers)}
        if args.open.is_dir():
            found = [p for p in sorted(args.open.rglob("*")) if p.suffix in (".png", ".jpg")]
            sets["open"] = [p for p in found if "mask" not in str(p.parent).lower()]
        for title, files in sets.items():
            data = write_data(folder / f"data-{title}", files)
            results[title] = measure(files, data, folder, args)
    table = Table(title=f"--max-side {args.max_side}, {args.workers} processes")
    columns = "files,program,images,images/s,cost,least,most,CPU,MB out"
    for column in columns.split(","):
        table.add_column(column, justify="left" if column in ("files", "program") else "right")
    for title, r in results.items():
        bare, ours = r["images"] / r["bare_s"], r["images"] / r["cache_s"]
        table.add_row(title, "bare", str(r["images"]), f"{bare:.1f}", "1", "", "", "1",
                      f"{r['bare_mb']:.0f}")  # fmt: skip
        table.add_row(title, "imaxray cache", str(r["images"]), f"{ours:.1f}",
                      f"{r['cost_ratio']:.2f}", f"{min(r['ratios']):.2f}",
                      f"{max(r['ratios']):.2f}", f"{r['cpu_ratio']:.2f}",
                      f"{r['cache_mb']:.0f}")  # fmt: skip
    Console(width=110).print(table)
    print(json.dumps({title: rounded(r) for title, r in results.items()}))


def measure(files: list[Path], data: Path, folder: Path, args: argparse.Namespace) -> dict:
    """Time complete runs of both programs in pairs; every second pair has the reverse order."""
    jobs = [str(path) for path in files]
    bare_s, cache_s, bare_cpu, cache_cpu = [], [], [], []
    bare_out, cache_out = folder / "bare", folder / "cache"
    for repeat in range(args.repeats):
        for program in ("bare", "cache") if repeat % 2 == 0 else ("cache", "bare"):
            shutil.rmtree(bare_out, ignore_errors=True)
            shutil.rmtree(cache_out, ignore_errors=True)
            began, cpu = time.perf_counter(), cpu_seconds()
            if program == "bare":
                # a separate program, as imaxray is, so that both times include the start of Python
                subprocess.run(
                    [sys.executable, __file__.replace("cache.py", "cache_bare.py"), bare_out,
                     str(args.max_side), str(args.workers)],
                    input="\n".join(jobs), text=True, check=True,
                )  # fmt: skip
                bare_s.append(time.perf_counter() - began)
                bare_cpu.append(cpu_seconds() - cpu)
                bare_mb = size(bare_out)
            else:
                subprocess.run(
                    [sys.executable, "-m", "imaxray.cli", "cache", str(data), "--out",
                     str(cache_out), "--max-side", str(args.max_side), "--workers",
                     str(args.workers)],
                    check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                cache_s.append(time.perf_counter() - began)
                cache_cpu.append(cpu_seconds() - cpu)
                cache_mb = size(cache_out)
    ratios = [c / b for c, b in zip(cache_s, bare_s, strict=True)]
    return {
        "images": len(files), "bare_s": statistics.median(bare_s), "bare_mb": bare_mb,
        "cache_s": statistics.median(cache_s), "cache_mb": cache_mb, "ratios": ratios,
        "cost_ratio": statistics.median(ratios),
        "cpu_ratio": statistics.median(c / b for c, b in zip(cache_cpu, bare_cpu, strict=True)),
    }  # fmt: skip


def write_radiographs(folder: Path, count: int, workers: int) -> list[Path]:
    """Write JPEGs of full size: enlarged phantom radiographs, each with its own film grain."""
    write_phantom(folder / "small", images=max(20, count), seed=0, workers=workers)
    small = sorted((folder / "small").rglob("*.jpg"))[:count]
    (folder / "large").mkdir()
    large = [folder / "large" / f"{k:05d}.jpg" for k in range(len(small))]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_enlarge, small, large, range(len(small)), chunksize=8))
    return large


def _enlarge(small: Path, large: Path, seed: int) -> None:
    with radiograph.open_image(small) as image:
        pixels = np.asarray(image.convert("L").resize(SIZE, Image.Resampling.BICUBIC))
    # JPEG and PNG spend most of their bytes on film grain; a repeated tile of grain is enough
    tile = np.random.default_rng(seed).normal(0, 4, (512, 512)).astype(np.float32)
    grain = np.tile(tile, (6, 5))[: SIZE[1], : SIZE[0]]
    grey = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(large, format="JPEG", quality=92)


def write_data(folder: Path, files: list[Path]) -> Path:
    """Write a dataset that lists exactly these files."""
    files = [path.resolve() for path in files]
    root = Path(os.path.commonpath(files))
    rows = []
    for number, path in enumerate(files):
        width, height = radiograph.size(path)
        rows.append((f"bench/{number:05d}", str(path.relative_to(root)), width, height))
    frame = pl.DataFrame(rows, schema=["image_id", "path", "width", "height"], orient="row")
    frame = frame.with_columns(
        pl.lit("mimic-cxr-jpg").alias("source"), pl.col("image_id").alias("patient_id")
    )
    tables = Tables(
        conform(frame, IMAGES), empty(ANNOTATIONS), empty(ENTRIES), roots={"mimic-cxr-jpg": root}
    )
    write_dataset(tables, folder, config={}, seed=0)
    return folder


def cpu_seconds() -> float:
    """Return the CPU seconds of all ended child processes and their descendants."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size(folder: Path) -> float:
    """Return the size of all files in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def rounded(result: dict) -> dict:
    out = {key: round(value, 3) for key, value in result.items() if isinstance(value, float)}
    return {
        "images": result["images"],
        "images_per_s": round(result["images"] / result["cache_s"], 2),
        "bare_images_per_s": round(result["images"] / result["bare_s"], 2),
        **out,
        "ratios": [round(r, 3) for r in result["ratios"]],
    }


if __name__ == "__main__":
    main()
