"""Shared-prefix packing against one sequence an entry: entries/s, same model, same process.

    python bench/packing.py [--image-size 128] [--entries 8] [--optimizer adamw]

The model is the demo's (by default with 64 image tokens; the demo has 36), the entries are those of
a small phantom, all tasks mixed. A step is the whole step: forward, backward, optimizer. Separate
rows are padded to the longest of their step, as the stock collator does. The layouts alternate,
ratios are taken pair by pair. Prints a table and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import polars as pl
from rich.console import Console
from rich.table import Table

from imaxray.curation import Dataset, build_catalog, open_dataset, write_dataset
from imaxray.models import phantom
from imaxray.phantom import write_phantom
from imaxray.study import load_config
from imaxray.training import (
    StepDataset,
    encode_entries,
    measure_throughput,
    prepare_images,
    schedule,
)

LAYOUTS: tuple[Literal["packed", "separate"], ...] = ("packed", "separate")


def main() -> None:
    parser = argparse.ArgumentParser(description="Packing against one sequence an entry.")
    parser.add_argument("--config", type=Path, default=Path("configs/phantom.yaml"))
    parser.add_argument("--image-size", type=int, default=128, help="128: 64 image tokens")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="adamw")
    parser.add_argument("--images", type=int, default=48, help="images in the pool")
    parser.add_argument("--entries", type=int, default=8, help="entries an image")
    parser.add_argument("--entries-per-step", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    config = load_config(args.config)
    shape = config.model.model_copy(update={"image_size": args.image_size})
    recipe = config.training.model_copy(update={"optimizer": args.optimizer})
    with tempfile.TemporaryDirectory() as folder:
        data = _data(Path(folder), args.images, args.entries)
        train, images = data.tables.split("train"), data.tables.images
        corpus = [*train["prompt"], *train["target"], *(str(n) for n in range(101))]
        chat = phantom.build(shape, corpus, seed=0)
        encoded = encode_entries(chat, train, images)
        pixels = prepare_images(chat, train["image_id"].unique().sort().to_list(), data.image_path)
    steps = {}
    for layout in LAYOUTS:
        table = schedule(
            train, layout=layout, entries_per_step=args.entries_per_step, steps=3, seed=0
        )
        items = StepDataset(chat, table, train, encoded, pixels, layout)
        steps[layout] = [items[k] for k in range(len(items))]
    result = measure_throughput(
        chat, steps["packed"], steps["separate"], recipe, repeats=args.repeats
    )
    tokens = (shape.image_size // shape.patch_size) ** 2
    table = Table(
        title=f"{args.entries} entries an image, {tokens} image tokens, {args.optimizer}, "
        f"{recipe.threads} thread"
    )
    for column in ("layout", "entries/s", "tokens an entry", "ratio", "least", "most"):
        table.add_column(column, justify="left" if column == "layout" else "right")
    table.add_row("separate", f"{result.separate:.0f}", f"{result.separate_tokens:.1f}", "1")
    table.add_row(
        "packed",
        f"{result.packed:.0f}",
        f"{result.packed_tokens:.1f}",
        f"{result.ratio:.2f}",
        f"{min(result.ratios):.2f}",
        f"{max(result.ratios):.2f}",
    )
    Console().print(table)
    print(
        json.dumps(
            {
                "ratio": round(result.ratio, 3),
                "packed_entries_per_s": round(result.packed, 1),
                "separate_entries_per_s": round(result.separate, 1),
                "image_tokens": tokens,
                "packed_tokens": round(result.packed_tokens, 1),
                "separate_tokens": round(result.separate_tokens, 1),
            }
        )
    )


def _data(folder: Path, images: int, entries: int) -> Dataset:
    """A data set of ``images`` training images with exactly ``entries`` entries each."""
    write_phantom(folder / "phantom", images=8 * images, seed=0)
    releases = {
        path.name: path
        for path in sorted((folder / "phantom").iterdir())
        if path.is_dir() and path.name != "truth"
    }
    catalog = build_catalog(releases, verify=False)
    # at most two entries a task, as in the demo; then so many an image
    train = catalog.split("train").sort("image_id", "entry_id")
    few = train.filter(pl.int_range(pl.len()).over("image_id", "task") < 2)
    cut = few.filter(pl.int_range(pl.len()).over("image_id") < entries)
    full = cut.filter(pl.len().over("image_id") == entries)
    chosen = full["image_id"].unique(maintain_order=True)[:images]
    entries_kept = full.filter(pl.col("image_id").is_in(chosen.to_list()))
    write_dataset(replace(catalog, entries=entries_kept), folder / "data", config={}, seed=0)
    return open_dataset(folder / "data")


if __name__ == "__main__":
    main()
