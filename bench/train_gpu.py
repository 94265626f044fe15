"""Measures packed training on a GPU at the true sizes of 7B, 8B and 4B models, with LoRA in bf16.

    python bench/train_gpu.py [--model qwen2.5-vl-7b] [--tokens-per-batch 4096] [--rounds 3]
                              [--attention packed_sdpa sdpa packed_flex] [--checkpointing]

One optimizer step sees 13 images with 2 to 13 entries each, 97 entries in total (7.46 per image),
and 40 tokens of text per entry. An image has 576 tokens, or the number of the model's family. Both
layouts accumulate over micro-batches of the same token budget; the layout with one sequence per
entry uses the standard `sdpa` with plain causal masks. The vision tower runs and is frozen, as in
LoRA recipes. Weights are random, because time and memory do not depend on their values, so the
hub is not needed.

The script prints a table (entries/s, peak memory, ratio, limit by the number of tokens) and, as its
last line, one JSON object with date and device. Without a GPU, it prints a sentence and ends.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.table import Table

from imaxray.models import EncodedEntry, published
from imaxray.models.published import IMAGE
from imaxray.packing import (
    collate,
    entry_losses,
    lay_out,
    model_inputs,
    step_loss,
    use_packed_attention,
)

COUNTS = (2, 3, 5, 6, 7, 7, 7, 8, 8, 9, 10, 12, 13)  # entries of each image
QUESTION, ANSWER = 24, 16
LORA = (
    r"(?:.*\.)?language_model\.layers\.\d+\."
    r"(?:self_attn\.(?:q|k|v|o)_proj|mlp\.(?:gate|up|down)_proj)"
)


@dataclass(frozen=True)
class Shape:
    """The true size of a model and the inputs of its images.

    Attributes:
        model: Class of the model.
        config: Configuration of the model.
        image_tokens: Number of tokens per image.
        pixels: Function of n, device and dtype that returns the inputs of n images.
    """

    model: type[Any]
    config: Any
    image_tokens: int
    pixels: Callable[[int, torch.device, torch.dtype], dict[str, torch.Tensor]]


def _square(side: int) -> Callable[[int, torch.device, torch.dtype], dict[str, torch.Tensor]]:
    def pixels(n: int, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.randn((n, 3, side, side), device=device, dtype=dtype)}

    return pixels


def _grid(
    side: int, patch: int
) -> Callable[[int, torch.device, torch.dtype], dict[str, torch.Tensor]]:
    """Make images of ``side`` x ``side`` patches; 2 x 2 patches make one token."""

    def pixels(n: int, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.randn(
                (n * side * side, 3 * 2 * patch * patch), device=device, dtype=dtype
            ),
            "image_grid_thw": torch.tensor([[1, side, side]] * n, device=device),
        }

    return pixels


def _shape(
    of: published.Published,
    image_tokens: int,
    pixels: Callable[[int, torch.device, torch.dtype], dict[str, torch.Tensor]],
) -> Shape:
    return Shape(of.model, of.config, image_tokens, pixels)


SHAPES: dict[str, Callable[[], Shape]] = {
    "qwen2.5-vl-7b": lambda: _shape(published.qwen2_5_vl_7b(), 576, _grid(48, 14)),
    "qwen3-vl-8b": lambda: _shape(published.qwen3_vl_8b(), 576, _grid(48, 16)),
    "qwen3-vl-4b": lambda: _shape(published.qwen3_vl_4b(), 576, _grid(48, 16)),
    "medgemma-4b": lambda: _shape(published.medgemma_4b(), 256, _square(896)),
    "llava-med-7b": lambda: _shape(published.llava_med_7b(), 576, _square(336)),
    "internvl3-8b": lambda: _shape(published.internvl3_8b(), 256, _square(448)),  # one tile
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Packing at true size on a GPU.")
    parser.add_argument("--model", choices=SHAPES, default="qwen2.5-vl-7b")
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    parser.add_argument(
        "--attention", nargs="+", default=["packed_sdpa", "sdpa"],
        choices=["packed_sdpa", "sdpa", "packed_flex"], help="attention of the packed runs",
    )  # fmt: skip
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("bench/train_gpu.py needs a GPU with CUDA, but found none; nothing was measured.")
        return
    shape = SHAPES[args.model]()
    model = build(shape, torch.device("cuda"), args.rank, checkpointing=args.checkpointing)
    groups = make_groups(shape)
    runs = measure(model, shape, groups, args.tokens_per_batch, args.rounds, args.attention)
    report(args.model, runs, torch.cuda.get_device_name())


def build(shape: Shape, device: torch.device, rank: int, *, checkpointing: bool) -> Any:
    """Build the model with random bf16 weights and LoRA on all linear layers of the text model."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model = shape.model(shape.config)
    finally:
        torch.set_default_dtype(before)
    model = get_peft_model(model, LoraConfig(r=rank, target_modules=LORA)).train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def make_groups(shape: Shape, counts: Sequence[int] = COUNTS) -> list[list[EncodedEntry]]:
    """Make random entries: image tokens, then 24 question tokens and 16 answer tokens."""
    draw = random.Random(0)
    low, high = 100, min(30_000, shape.config.get_text_config().vocab_size)

    def words(n: int) -> list[int]:
        return [draw.randrange(low, high) for _ in range(n)]

    return [
        [
            # entries of an image differ in their first text token, so that the prefix ends there
            EncodedEntry(
                [*[IMAGE] * shape.image_tokens, 20 + k, *words(QUESTION - 1)], words(ANSWER)
            )
            for k in range(count)
        ]
        for count in counts
    ]


@dataclass
class Run:
    """Measurements of one layout: seconds of each step, tokens per step and peak bytes."""

    name: str
    seconds: list[float]
    tokens: int
    entries: int
    peak: int


def measure(
    model: Any,
    shape: Shape,
    groups: list[list[EncodedEntry]],
    budget: int,
    rounds: int,
    attention: Sequence[str],
) -> list[Run]:
    """Time complete steps of all variants in turn; the first round is not counted."""
    variants = [("separate", "sdpa"), *((f"packed, {name}", name) for name in attention)]
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4, fused=True)
    device = trainable[0].device
    dtype = next(p for p in model.parameters() if not p.requires_grad).dtype
    cuda = device.type == "cuda"
    runs = [Run(name, [], 0, 0, 0) for name, _ in variants]
    for round_ in range(rounds + 1):
        for run, (name, implementation) in zip(runs, variants, strict=True):
            model.set_attn_implementation({"text_config": "sdpa"})
            if implementation != "sdpa":
                use_packed_attention(model, flex=implementation == "packed_flex")
            batches = micro_batches(groups, budget, packed=name != "separate")
            if cuda:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            total = sum(batch.entries for batch, _ in batches)
            for batch, count in batches:
                here = batch.to(device)
                images = shape.pixels(count, device, dtype)
                logits = model(**model_inputs(model, here, images)).logits
                step_loss(entry_losses(logits, here), total).backward()
                del logits
            optimizer.step()
            optimizer.zero_grad()
            if cuda:
                torch.cuda.synchronize()
                run.peak = max(run.peak, torch.cuda.max_memory_allocated())
            if round_:
                run.seconds.append(time.perf_counter() - started)
            run.tokens, run.entries = sum(batch.tokens for batch, _ in batches), total
    return runs


def micro_batches(
    groups: list[list[EncodedEntry]], budget: int, *, packed: bool
) -> list[tuple[Any, int]]:
    """Return batches of at most ``budget`` tokens, each with its number of images."""
    if packed:
        plan = lay_out(groups, IMAGE, tokens_per_row=budget)
        return [(collate([row], pad=0, multiple_of=128), len(row.groups)) for row in plan.rows]
    rows = lay_out(groups, IMAGE, packed=False).rows
    each = max(1, budget // max(len(row) for row in rows))
    parts = [rows[k : k + each] for k in range(0, len(rows), each)]
    return [(collate(part, pad=0), len(part)) for part in parts]


def report(name: str, runs: list[Run], device: str) -> None:
    """Print the table and the JSON line, which has the fastest packed variant."""
    rates = [run.entries / statistics.median(run.seconds) for run in runs]
    table = Table(title=f"{name}, bf16, LoRA, {device}")
    for column in ("layout", "entries/s", "tokens/s", "peak GB", "ratio", "limit"):
        table.add_column(column, justify="left" if column == "layout" else "right")
    for run, rate in zip(runs, rates, strict=True):
        table.add_row(
            run.name, f"{rate:.2f}", f"{rate * run.tokens / run.entries:.0f}",
            f"{run.peak / 1e9:.1f}", f"{rate / rates[0]:.2f}", f"{runs[0].tokens / run.tokens:.2f}",
        )  # fmt: skip
    Console().print(table)
    best = max(range(1, len(runs)), key=rates.__getitem__)
    limit = runs[0].tokens / runs[best].tokens
    print(
        json.dumps(
            {
                "model": name,
                "device": device,
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "layout": runs[best].name,
                "ratio": round(rates[best] / rates[0], 3),
                "limit": round(limit, 3),
                "fraction_of_limit": round(rates[best] / rates[0] / limit, 3),
                "packed_entries_per_s": round(rates[best], 2),
                "separate_entries_per_s": round(rates[0], 2),
                "packed_peak_gb": round(runs[best].peak / 1e9, 1),
                "separate_peak_gb": round(runs[0].peak / 1e9, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
