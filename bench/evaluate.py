"""Compares the speed of shared-prefix generation with that of the standard ``generate``.

    python bench/evaluate.py [--width 384] [--images 8] [--new-tokens 16] [--rounds 2]

The model is a LLaVA of standard parts with random weights and 256 image tokens. It is so wide that
matrix products, not Python, take most of the time. The prompts are drawn from 20 realistic ones of
all kinds of tasks, with 7.46 prompts per image on average. Three ways answer the same entries:
imaxray, ``generate`` entry by entry, and ``generate`` on left-padded batches, with the best of
several batch sizes. The ways alternate; the printed ratio is the median over the ratios of the
rounds. The script uses one thread. It prints a table and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import polars as pl
import torch
import transformers

from imaxray.evaluation.generation import generate
from imaxray.models import ChatModel, EncodedEntry, PhantomConfig, phantom

DENSITY = 7.46  # entries per image in the paper's IMAX
TOKENS = 256  # image tokens per image
SIZE = (512, 512)
PROMPTS = (
    "Measure the cardiothoracic ratio.",
    "What is the cardiothoracic ratio of this radiograph? Answer with a number.",
    "Measure the cardiopulmonary area ratio.",
    "Write the findings section of the report on this chest radiograph.",
    "Grade the pulmonary edema: none, vascular congestion, interstitial edema or alveolar edema.",
    "Which of the fourteen findings are present? List their names, or answer No Finding.",
    "Locate: right lower lobe opacity.",
    "Locate: left pleural effusion, and give its box.",
    "Where is the enlarged cardiac silhouette?",
    "Describe the finding in the region [12, 34, 56, 78].",
    "What is in this location: [40, 22, 71, 66]?",
    "Is there a pneumothorax?",
    "Is the heart enlarged? Answer yes or no.",
    "Which lung shows the consolidation?",
    "What abnormality is seen in the left lower zone?",
    "Is there evidence of pleural effusion in this image?",
    "How severe is the cardiomegaly?",
    "Are there any lines or tubes?",
    "Is this view frontal or lateral?",
    "What is the position of the tip of the endotracheal tube?",
)


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

    chat = _model(args.width, args.layers, args.vision_layers)
    entries, encoded, pixels = _material(chat, args.images)
    ids = entries["entry_id"].to_list()
    images = dict(entries.rows())
    ways: dict[str, Callable[[], dict[str, str]]] = {
        "imaxray": lambda: dict(
            generate(chat, entries, encoded, pixels, max_new_tokens=args.new_tokens)
            .select("entry_id", "raw")
            .iter_rows()
        ),
        **{
            f"generate, batches of {size}" if size > 1 else "generate, one by one": (
                lambda size=size: _stock(chat, ids, images, encoded, pixels, args.new_tokens, size)
            )
            for size in (1, *args.batch_sizes)
        },
    }
    with torch.inference_mode():
        # a first call, so that no measured call pays for the start
        _stock(chat, ids[:4], images, encoded, pixels, 2, 4)
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
    print(
        f"{len(ids)} entries on {args.images} images, {TOKENS} image tokens, prompts of "
        f"{min(len(encoded[e].prompt) - TOKENS for e in ids)}-"
        f"{max(len(encoded[e].prompt) - TOKENS for e in ids)} further tokens, {args.new_tokens} "
        f"new tokens, {sum(p.numel() for p in chat.model.parameters()) / 1e6:.1f} M parameters, "
        f"{len(set(texts[ours].values()))} different texts"
    )
    print(f"{'':26}{'entries/s':>10}{'our speed-up':>14}{'same texts':>12}")
    for name, taken in seconds.items():
        rate = len(ids) / statistics.median(taken)
        print(f"{name:26}{rate:>10.1f}{over[name]:>14.2f}{same[name]:>7}/{len(ids)}")
    best = min((n for n in ways if "batches" in n), key=lambda n: statistics.median(seconds[n]))
    print(
        json.dumps(
            {
                "over_one_by_one": round(over["generate, one by one"], 2),
                "over_batched": round(over[best], 2),
                "same_texts": all(count == len(ids) for count in same.values()),
                "best_batch": best.rpartition(" ")[2],
            }
        )
    )


def _model(width: int, layers: int, vision_layers: int) -> ChatModel:
    chat = phantom.build(
        PhantomConfig(
            image_size=256, patch_size=16, width=width, heads=width // 64,
            vision_layers=vision_layers, text_layers=layers, vocabulary=2000,
        ),
        PROMPTS * 4,
        seed=0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # larger weights than initialised, so that answers depend on the inputs
        for parameter in chat.model.parameters():
            if parameter.ndim > 1:
                spread = 1.5 * parameter[0].numel() ** -0.5
                parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return chat


def _material(
    chat: ChatModel, images: int
) -> tuple[pl.DataFrame, dict[str, EncodedEntry], dict[str, dict[str, torch.Tensor]]]:
    total = round(DENSITY * images)
    generator = torch.Generator().manual_seed(0)
    rows, pixels = [], {}
    for number in range(images):
        image = f"i{number:03}"
        count = total * (number + 1) // images - total * number // images
        chosen = torch.randperm(len(PROMPTS), generator=generator)[:count].tolist()
        rows += [(f"{image}-{k:02}", image, PROMPTS[k]) for k in chosen]
        pixels[image] = {"pixel_values": torch.randn(1, 1, 256, 256, generator=generator)}
    entries = pl.DataFrame(
        [row[:2] for row in rows], schema=["entry_id", "image_id"], orient="row"
    ).sort("entry_id")
    return entries, {e: chat.encode(text, None, [], SIZE) for e, _, text in rows}, pixels


def _stock(
    chat: ChatModel,
    ids: list[str],
    images: dict[str, str],
    encoded: dict[str, EncodedEntry],
    pixels: dict[str, dict[str, torch.Tensor]],
    new_tokens: int,
    size: int,
) -> dict[str, str]:
    """Call ``generate`` as documented by ``transformers``, on batches of similar lengths."""
    model: Any = chat.model
    pad = chat.tokenizer.pad_token_id
    texts = {}
    ordered = sorted(ids, key=lambda e: len(encoded[e].prompt))
    for start in range(0, len(ordered), size):
        some = ordered[start : start + size]
        prompts = [encoded[e].prompt for e in some]
        longest = max(map(len, prompts))
        out = model.generate(
            input_ids=torch.tensor([[pad] * (longest - len(p)) + p for p in prompts]),
            attention_mask=torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts]),
            pixel_values=torch.cat([pixels[images[e]]["pixel_values"] for e in some]),
            max_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=pad,
            eos_token_id=chat.end_of_turn,
        )[:, longest:].tolist()
        end = chat.end_of_turn
        for entry, row in zip(some, out, strict=True):
            cut = row[: row.index(end) + 1] if end in row else row
            texts[entry] = str(chat.tokenizer.decode(cut))
    return texts


if __name__ == "__main__":
    main()
