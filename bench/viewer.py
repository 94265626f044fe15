"""Measures the viewer on a dataset of 400,000 images, and on one of 50,000 with pixels.

    python bench/viewer.py CATALOG [--images 400000] [--pixels 50000] [--side 128]

CATALOG is a dataset folder such as the `catalog/` that `python bench/build.py` writes from the
releases of `imaxray phantom RELEASES --scale mimic --no-images`. It has 377,110 images; further
ones are copies under other ids. For the dataset with pixels, noisy images of SIDE × SIDE pixels are
written, a third each as JPEG, as PNG of 8 bits and as PNG of 16 bits; the tables state their size.

The server runs in a process of its own. First page is the time from the start of the command
`imaxray view` until the page, its description and the first list of images have been answered: with
an empty cache, then with the summary that the first start kept; `filters` is the time until the
tables were read and everything can be filtered. Filters and orders are different ones, each once,
so that no result is remembered. `cpu` is the processor time of the server, which other programs on
the machine hardly change; `rss` is its resident memory in MB, and `own` the part of it that is no
page of a file: pages of the tables that were read lie in it until the system needs them. Their
trends are the slopes of a line through the second half of the requests. The script prints tables
and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import polars as pl
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.schema import mark_pseudo

TASKS = ("findings", "grading", "rec", "reg", "report", "vqa", "calculation")
SORTS = ("", "id", "tasks", "entries", "annotations", "conflicts", "age", "width", "patient")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--images", type=int, default=400_000)
    parser.add_argument("--pixels", type=int, default=50_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--filters", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--as-it-is", action="store_true", help="measure CATALOG itself, only")
    parser.add_argument("--only", choices=("tables", "pixels"), help="one of the two datasets")
    args = parser.parse_args()
    chosen = [args.only] if args.only else ["tables", "pixels"]
    found: dict[str, Any] = {"machine": _machine()}
    with tempfile.TemporaryDirectory(dir=args.catalog.resolve().parent) as name:
        out = Path(name)
        os.environ["IMAXRAY_CACHE"] = str(out / "cache")
        if args.as_it_is:
            found["tables"] = _measured(args.catalog, args, pixels=False)
            _print("tables", found["tables"])
            print(json.dumps(found))
            return
        tables = open_dataset(args.catalog).tables
        if "tables" in chosen:
            write_dataset(_grown(tables, args.images), out / "tables", config={}, seed=0)
        if "pixels" in chosen:
            small = _with_pixels(tables, args.pixels, args.side, out / "pixels-release")
            write_dataset(small, out / "pixels", config={}, seed=0)
            del small
        del tables
        for data in chosen:
            found[data] = _measured(out / data, args, pixels=data == "pixels")
            _print(data, found[data])
    print(json.dumps(found))


def _machine() -> dict[str, Any]:
    """Return what the times depend on; a load above 0 at the start is of other programs."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": model[1] if model else "", "cores": os.cpu_count(),
        "load at the start": os.getloadavg()[0], "polars": pl.__version__,
    }  # fmt: skip


def _grown(tables: Tables, images: int) -> Tables:
    """Return tables of exactly this many images; those that are missing are copies."""
    ids = tables.images["image_id"]
    if images <= len(ids):
        return _of(tables, ids[:images])
    copied = _of(tables, ids[: images - len(ids)])
    rename = pl.col("image_id") + "-copy"
    return replace(
        tables,
        images=pl.concat([tables.images, copied.images.with_columns(rename)]).sort("image_id"),
        annotations=pl.concat(
            [tables.annotations, copied.annotations.with_columns(rename)]
        ).sort("image_id", maintain_order=True),
        entries=pl.concat(
            [tables.entries, copied.entries.with_columns(rename, pl.col("entry_id") + "c")]
        ).sort("split", "task", "entry_id"),
    )  # fmt: skip


def _of(tables: Tables, ids: pl.Series) -> Tables:
    named = pl.col("image_id").is_in(ids.implode())
    return replace(
        tables,
        images=tables.images.filter(named),
        annotations=tables.annotations.filter(named),
        entries=mark_pseudo(tables.entries.filter(named)),
        conflicts=tables.conflicts.filter(named),
    )


def _with_pixels(tables: Tables, images: int, side: int, root: Path) -> Tables:
    root.mkdir()
    few = _of(tables, tables.images["image_id"][:images])
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, side)[:, None] + np.zeros(side)
    names = []
    for number in range(few.images.height):
        grey = np.clip(ramp + rng.normal(0, 12, (side, side)), 0, 255)
        names.append(f"{number:06d}.{'png' if number % 3 else 'jpg'}")
        if number % 3 == 2:
            Image.fromarray((grey * 257).astype(np.uint16)).save(root / names[-1], compress_level=1)
        else:
            Image.fromarray(grey.astype(np.uint8)).save(root / names[-1], compress_level=1)
    size = [pl.lit(side, pl.Int32).alias(name) for name in ("width", "height")]
    images = few.images.with_columns(pl.Series("path", names), *size)
    roots = dict.fromkeys(few.images["source"].unique(), root)
    return replace(few, images=images, roots=roots)


class Server:
    """A running `imaxray view`."""

    def __init__(self, process: subprocess.Popen[str], base: str, token: str) -> None:
        self.about = psutil.Process(process.pid)
        self.client = httpx.Client(
            base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=120
        )
        self.base, self.token = base, token

    def get(self, path: str) -> httpx.Response:
        """Return the answer to a request, which must succeed."""
        answer = self.client.get(path)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:300]}")
        return answer

    @property
    def rss(self) -> float:
        """Resident memory of the server in MB."""
        return float(self.about.memory_info().rss / 1e6)

    @property
    def own(self) -> float:
        """Resident memory of the server in MB, without pages of files."""
        memory = self.about.memory_info()
        return float((memory.rss - memory.shared) / 1e6)

    @property
    def cpu(self) -> float:
        """Processor seconds of the server since its start."""
        times = self.about.cpu_times()
        return float(times.user + times.system)


@contextmanager
def _running(data: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "imaxray.cli", "view", str(data)]
    marks = ["--marks", str(data.parent / "marks.jsonl")]
    process = subprocess.Popen(
        [*command, *marks], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", line)
        if found is None:
            raise RuntimeError(f"the viewer did not start: {line}")
        server = Server(process, found[1], found[2])
        yield server
        server.client.close()
    finally:
        process.terminate()
        process.wait()


def _measured(data: Path, args: argparse.Namespace, *, pixels: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"side": args.side if pixels else None}
    for kind in ("cold", "warm"):
        start = time.perf_counter()
        with _running(data) as server:
            for path in ("/", "/api/about", "/api/images"):
                server.get(path)
            page = {
                "seconds": time.perf_counter() - start, "cpu": server.cpu, "rss": server.rss,
            }  # fmt: skip
            while server.get("/api/about").json()["reading"]:
                time.sleep(0.05)
            page["filters"] = time.perf_counter() - start
            page["filters cpu"] = server.cpu
            found[f"first page, {kind}"] = page
    with _running(data) as server:
        about = server.get("/api/about").json()
        found["images"] = about["images"]
        rng = random.Random(0)
        filters = list(_filters(rng, about, args.filters))
        for what in ("images", "facets"):
            found[what + " of a filter"] = _timed(
                server, [f"/api/{what}?{urlencode(f)}" for f in filters]
            )
        ids = _ids(server, found["images"], rng)
        paths = {
            "an image": "/api/image", "neighbours": "/api/neighbours",
            "pixels": "/api/pixels", "a small picture": "/api/picture",
        }  # fmt: skip
        for what, path in paths.items():
            if pixels or not path.startswith("/api/pi"):
                found[what] = _timed(
                    server, [f"{path}?{urlencode({'id': one})}" for one in ids[:200]]
                )
        mixed = list(_mixed(rng, about, ids, args.requests, pixels=pixels))
        memory, own = [server.rss], [server.own]
        start = time.perf_counter()
        for number, path in enumerate(mixed, start=1):
            server.get(path)
            if number % max(1, args.requests // 20) == 0:
                memory.append(server.rss)
                own.append(server.own)
        found["requests"] = {
            "count": args.requests, "seconds": time.perf_counter() - start, "rss": memory,
            "trend": _trend(memory, args.requests), "own": own,
            "own trend": _trend(own, args.requests),
        }  # fmt: skip
        found["clients"] = asyncio.run(
            _crowd(server, mixed, clients=args.clients, seconds=args.seconds)
        )
    return found


def _filters(
    rng: random.Random, about: Mapping[str, Any], count: int
) -> Iterator[list[tuple[str, str]]]:
    """Yield different filters and orders, as a user clicks them together."""
    facets = about["facets"]
    seen = set()
    while len(seen) < count:
        items: list[tuple[str, str]] = []
        names = [name for name in facets if name != "task" and facets[name]]
        for name in rng.sample(names, rng.choice((0, 1, 1, 2))):
            values = rng.sample(facets[name], min(len(facets[name]), rng.choice((1, 1, 2))))
            items += [(name, value) for value in values]
        items += [("task", task) for task in rng.sample(TASKS, rng.choice((0, 0, 1, 2)))]
        if rng.random() < 0.25:
            items.append(("q", f"{rng.randrange(16**3):03x}"))
        if rng.random() < 0.15:
            items.append(("conflicted", rng.choice(("yes", "no"))))
        if sort := rng.choice(SORTS):
            items += [("sort", sort), ("order", rng.choice(("asc", "desc")))]
        if tuple(items) not in seen:
            seen.add(tuple(items))
            yield items


def _ids(server: Server, images: int, rng: random.Random) -> list[str]:
    ids: list[str] = []
    for _ in range(20):
        page = rng.randrange(1, images // 48)
        ids += [one["image_id"] for one in server.get(f"/api/images?page={page}").json()["images"]]
    rng.shuffle(ids)
    return ids


def _mixed(
    rng: random.Random, about: Mapping[str, Any], ids: Sequence[str], count: int, *, pixels: bool
) -> Iterator[str]:
    filters = list(_filters(rng, about, 300))
    kinds = ["images", "images", "facets", "image", "neighbours", "python"]
    kinds += ["picture", "picture", "pixels"] if pixels else []
    for _ in range(count):
        kind = rng.choice(kinds)
        items = rng.choice(filters) if kind in ("images", "facets", "neighbours", "python") else []
        if kind == "images":
            items = [*items, ("page", str(rng.choice((1, 1, 2, 3))))]
        if kind in ("image", "neighbours", "picture", "pixels"):
            items = [*items, ("id", rng.choice(ids))]
        yield f"/api/{kind}?{urlencode(items)}"


def _trend(memory: Sequence[float], requests: int) -> dict[str, float]:
    """Return the slope of memory over the second half of the requests, and its standard error."""
    half = np.array(memory[len(memory) // 2 :])
    at = np.linspace(0, requests / 2000, len(half))
    (slope, _), covariance = np.polyfit(at, half, 1, cov=True)
    return {"MB per 1,000 requests": float(slope), "se": float(covariance[0, 0] ** 0.5)}


def _timed(server: Server, paths: Sequence[str]) -> dict[str, float]:
    walls, cpus = [], []
    for path in paths:
        before, start = server.cpu, time.perf_counter()
        server.get(path)
        walls.append(1000 * (time.perf_counter() - start))
        cpus.append(1000 * (server.cpu - before))
    return {
        "p50 ms": float(np.percentile(walls, 50)), "p95 ms": float(np.percentile(walls, 95)),
        "cpu p50 ms": float(np.percentile(cpus, 50)), "cpu p95 ms": float(np.percentile(cpus, 95)),
        "requests": len(paths),
    }  # fmt: skip


async def _crowd(
    server: Server, paths: Sequence[str], *, clients: int, seconds: float
) -> dict[str, Any]:
    """Let many clients ask at once."""
    walls: list[float] = []
    errors: list[str] = []
    memory = [server.rss]
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        headers = {"authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(base_url=server.base, headers=headers, timeout=300) as one:
            at = number * len(paths) // clients
            while time.perf_counter() < until:
                start = time.perf_counter()
                try:
                    answer = await one.get(paths[at % len(paths)])
                    if answer.status_code != 200:
                        errors.append(f"{answer.status_code} {answer.text[:200]}")
                except httpx.HTTPError as error:
                    errors.append(type(error).__name__)
                walls.append(1000 * (time.perf_counter() - start))
                at += 1

    async def watch() -> None:
        while time.perf_counter() < until:
            await asyncio.sleep(seconds / 20)
            memory.append(server.rss)

    await asyncio.gather(watch(), *(client(number) for number in range(clients)))
    return {
        "clients": clients, "seconds": seconds, "requests": len(walls), "errors": len(errors),
        "first errors": errors[:3], "p50 ms": float(np.percentile(walls, 50)),
        "p95 ms": float(np.percentile(walls, 95)), "rss": memory,
    }  # fmt: skip


def _print(data: str, found: Mapping[str, Any]) -> None:
    table = Table(title=f"{data}: {found['images']:,} images")
    for column in ("what", "requests", "p50 ms", "p95 ms", "cpu p50 ms", "cpu p95 ms"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, row in found.items():
        if isinstance(row, dict) and "cpu p95 ms" in row:
            cells = (f"{row[c]:.0f}" for c in ("p50 ms", "p95 ms", "cpu p50 ms", "cpu p95 ms"))
            table.add_row(what, f"{row['requests']:,}", *cells)
    console = Console(width=120)
    console.print(table)
    for kind in ("cold", "warm"):
        row = found[f"first page, {kind}"]
        console.print(
            f"first page, {kind}: {row['seconds']:.2f} s, cpu {row['cpu']:.2f} s, "
            f"rss {row['rss']:.0f} MB; filters: {row['filters']:.2f} s, "
            f"cpu {row['filters cpu']:.2f} s"
        )
    for name, what in (("trend", "memory"), ("own trend", "memory without pages of files")):
        trend = found["requests"][name]
        console.print(
            f"trend of {what}: {trend['MB per 1,000 requests']:.1f} ± {trend['se']:.1f} MB "
            "(one standard error) per 1,000 requests"
        )
    for what in ("requests", "clients"):
        row = found[what]
        own = "" if "own" not in row else "; own MB: " + " ".join(f"{v:.0f}" for v in row["own"])
        rss = " ".join(f"{value:.0f}" for value in row["rss"])
        count = row.get("count", row.get("requests"))
        errors = f", {row['errors']} errors, p95 {row['p95 ms']:.0f} ms" if "errors" in row else ""
        console.print(f"{what}: {count:,} in {row['seconds']:.0f} s{errors}; rss MB: {rss}{own}")


if __name__ == "__main__":
    main()
