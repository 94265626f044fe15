"""Compares the speed of shared-prefix annotation with that of the standard ``generate``.

    python bench/annotate.py [--width 384] [--images 8] [--new-tokens 16] [--rounds 2]

A LLaVA model of standard parts with random weights and 256 image tokens (the model of
bench/evaluate.py) answers the tasks that the images of a decentralized phantom lack.
``annotate_images`` encodes each image once, answers in three passes, keeps log-probabilities and
parses the answers. ``generate`` answers the same prompts one by one and on left-padded batches of
several sizes; it encodes the image again for each prompt. Pixels are prepared before the
measurement. The ways alternate; the printed ratio is the median over the ratios of the rounds. The
script uses one thread. It prints a table and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import polars as pl
import torch
import transformers

from imaxray.curation import Tables, build_catalog
from imaxray.models import ChatModel
from imaxray.phantom import write_phantom
from imaxray.pseudo import AnnotateConfig, annotate_images
from imaxray.schema import FRONTAL, TASKS

TOKENS = 256  # image tokens per image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--layers", type=int, default=4, help="layers of the text model")
    parser.add_argument("--vision-layers", type=int, default=4)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[4, 8, 16, 32])
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    logging.disable(logging.WARNING)

    stock = _sibling("evaluate")
    with tempfile.TemporaryDirectory() as folder:
        tables = _decentralized(Path(folder), args.images)
    chat: ChatModel = stock._model(args.width, args.layers, args.vision_layers)
    train = tables.images.filter(pl.col("split") == "train")["image_id"].sort().to_list()
    generator = torch.Generator().manual_seed(0)
    pixels = {
        image: {"pixel_values": torch.randn(1, 1, 256, 256, generator=generator)} for image in train
    }
    config = AnnotateConfig(max_new_tokens=args.new_tokens, limit=args.images)

    asked = annotate_images(chat, tables, pixels, config)
    sizes = {
        i: (w, h) for i, w, h in tables.images.select("image_id", "width", "height").iter_rows()
    }
    encoded = {
        row["pseudo_id"]: chat.encode(
            row["prompt"], None, row["boxes"][: row["prompt"].count("<box>")],
            sizes[row["image_id"]],
        )
        for row in asked.iter_rows(named=True)
    }  # fmt: skip
    ids, images = asked["pseudo_id"].to_list(), dict(asked.select("pseudo_id", "image_id").rows())
    ways: dict[str, Callable[[], dict[str, str]]] = {
        "imaxray": lambda: dict(
            annotate_images(chat, tables, pixels, config).select("pseudo_id", "raw").iter_rows()
        ),
        **{
            f"generate, batches of {size}" if size > 1 else "generate, one by one": (
                lambda size=size: stock._stock(
                    chat, ids, images, encoded, pixels, args.new_tokens, size
                )
            )
            for size in (1, *args.batch_sizes)
        },
    }
    with torch.inference_mode():
        # a first call, so that no measured call pays for the start
        stock._stock(chat, ids[:4], images, encoded, pixels, 2, 4)
        texts = {name: way() for name, way in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)

    ours = "imaxray"
    over = {
        name: statistics.median(b / a for a, b in zip(seconds[ours], taken, strict=True))
        for name, taken in seconds.items()
    }
    same = {name: sum(texts[name][e] == texts[ours][e] for e in ids) for name in ways}
    by_task = dict(asked.group_by("task").len().sort("task").iter_rows())
    print(
        f"{len(ids)} prompts on {asked['image_id'].n_unique()} images ({by_task}), {TOKENS} image "
        f"tokens, {args.new_tokens} new tokens, "
        f"{sum(p.numel() for p in chat.model.parameters()) / 1e6:.1f} M parameters, "
        f"{len(set(texts[ours].values()))} different texts"
    )
    print(f"{'':26}{'entries/s':>10}{'our speed-up':>14}{'same texts':>12}")
    for name, taken in seconds.items():
        rate = len(ids) / statistics.median(taken)
        print(f"{name:26}{rate:>10.1f}{over[name]:>14.2f}{same[name]:>8}/{len(ids)}")
    best = min((n for n in ways if "batches" in n), key=lambda n: statistics.median(seconds[n]))
    print(
        json.dumps(
            {
                "entries_per_second": round(len(ids) / statistics.median(seconds[ours]), 1),
                "over_one_by_one": round(over["generate, one by one"], 2),
                "over_batched": round(over[best], 2),
                "best_batch": best.rpartition(" ")[2],
                "prompts_an_image": round(len(ids) / asked["image_id"].n_unique(), 2),
                "same_texts": round(min(same.values()) / len(ids), 3),
            }
        )
    )


def _decentralized(folder: Path, images: int) -> Tables:
    """Build a phantom whose train images have entries of only one task each."""
    write_phantom(folder, images=max(60, 4 * images), seed=0)
    releases = {p.name: p for p in sorted(folder.iterdir()) if p.is_dir() and p.name != "truth"}
    tables = build_catalog(releases, verify=False)
    frontal = tables.images.filter(pl.col("view").is_in(FRONTAL))["image_id"].sort()
    turn = pl.DataFrame(
        {"image_id": frontal, "own": [TASKS[k % len(TASKS)] for k in range(len(frontal))]}
    )
    kept = tables.entries.join(turn, on="image_id").filter(pl.col("task") == pl.col("own"))
    return replace(tables, entries=kept.drop("own"))


def _sibling(name: str) -> ModuleType:
    """Import another bench script, which has the model and the calls of ``generate``."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
