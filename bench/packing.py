"""Compares the training speed of packed sequences with one sequence per entry and with TRL.

    python bench/packing.py [--width 512] [--layers 2] [--seconds 10] [--skip-trl]

The model is a LLaVA of standard parts with random weights. All its weights are trained, those of
the vision tower, too; an entry has about 40 tokens of text. A step is a complete step with forward
pass, backward pass and fused AdamW, on one thread. Every cell trains on the same entries in both
layouts, about 16 per step. The layouts alternate, and the ratio is the ratio of their medians.
"7.46" is a mixture of 13 images with 2 to 13 entries each, 97 entries in total.

The layout with one sequence per entry has the best possible conditions: all entries have the same
length, so nothing is padded; its masks are plain causal masks, which have the fastest attention;
images are prepared beforehand, and logits are computed only at answers, as in the packed layout.

`limit` is the ratio of the numbers of tokens, (P + T) K / (P + K T), with P image tokens, T text
tokens per entry and K entries per image. A step can be faster than this limit, because packing also
encodes the image K times less often. It can be slower, because attention, the optimizer and calls
have other costs.

SFTTrainer of TRL trains the same model on the same entries of the 7.46 mixture with 576 image
tokens. It uses one sequence per entry, because it refuses to pack image data, its own collator, the
same optimizer and no gradient checkpointing. In this comparison, both times are measured from text
and image to the end of the step.

On a busy machine, use `--clock cpu`, which counts the CPU seconds of this process instead of
wall-clock seconds.

The script prints tables and, as its last line, one JSON object. `ratio` and `limit` are those of
7.46 entries and 576 image tokens; `worst_fraction_of_limit` is taken over all cells with at least 4
entries per image.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from rich.console import Console
from rich.table import Table
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    TrainerCallback,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from imaxray.boxes import get_convention
from imaxray.models import ChatModel, EncodedEntry
from imaxray.models.families.llava import LlavaModel
from imaxray.models.tiny import build_tiny
from imaxray.packing import (
    Batch,
    collate,
    entry_losses,
    lay_out,
    model_inputs,
    use_packed_attention,
)

PATCH = 14
TEXT = 40  # text tokens per entry, question and answer together
MIXTURE = [[2, 13], [3, 12], [5, 10], [6, 9], [7, 8], [7, 8], [7]]  # 97 entries, 13 images
COUNTS = {
    "1": [[1] * 16],
    "2": [[2] * 8],
    "4": [[4] * 4],
    "7.46": MIXTURE,
    "16": [[16]],
}
IMAGE_TOKENS = (64, 256, 576)
WORDS = [
    "heart",
    "lungs",
    "large",
    "clear",
    "left",
    "right",
    "opacity",
    "edema",
    "there",
    "is",
    "no",
]
now = time.perf_counter  # main() replaces it with CPU time if --clock is cpu


@dataclass
class Entry:
    """One entry as text and as token ids."""

    question: str
    answer: str
    encoded: EncodedEntry


@dataclass
class Step:
    """Entries and images of one optimizer step; each image has a group of entries."""

    groups: list[list[Entry]]
    images: list[Image.Image]


def main() -> None:
    parser = argparse.ArgumentParser(description="Packing against one sequence per entry.")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument(
        "--seconds", type=float, default=10, help="seconds per cell; at least two pairs are run"
    )
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--skip-trl", action="store_true")
    args = parser.parse_args()
    global now
    now = time.process_time if args.clock == "cpu" else time.perf_counter
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    table = Table(title=f"LLaVA, {args.width} wide, {args.layers} layers, one thread")
    for column in ("image tokens", "entries", "separate/s", "packed/s", "ratio", "limit"):
        table.add_column(column, justify="right")
    table.add_column("of limit", justify="right")
    results: dict[tuple[int, str], tuple[float, float]] = {}
    for tokens in IMAGE_TOKENS:
        chat = build(tokens, args.width, args.layers)
        for count, layout in COUNTS.items():
            steps = [make_step(chat, tokens, counts) for counts in layout]
            cell = measure(chat, steps, args.seconds)
            results[tokens, count] = cell.ratio, cell.limit
            table.add_row(
                str(tokens), count, f"{cell.separate:.2f}", f"{cell.packed:.2f}",
                f"{cell.ratio:.2f}", f"{cell.limit:.2f}", f"{cell.ratio / cell.limit:.0%}",
            )  # fmt: skip
            print(
                f"{tokens} image tokens, {count} entries: {cell.ratio:.2f} of {cell.limit:.2f}",
                flush=True,
            )
    console = Console()
    console.print(table)
    ratio, limit = results[576, "7.46"]
    worst = min(r / most for (_, count), (r, most) in results.items() if count not in ("1", "2"))
    found: dict[str, Any] = {
        "ratio": round(ratio, 3),
        "limit": round(limit, 3),
        "worst_fraction_of_limit": round(worst, 3),
    }
    if not args.skip_trl:
        steps = [make_step(chat, 576, counts) for counts in MIXTURE[:3]]
        theirs = trl_rate(chat, steps)
        ours = packed_from_text(chat, steps)
        console.print(
            f"7.46 entries, 576 image tokens, from text and image: imaxray {ours:.2f} entries/s, "
            f"TRL's SFTTrainer {theirs:.2f} entries/s"
        )
        found["over_trl"] = round(ours / theirs, 3)
        found["packed_entries_per_s"], found["trl_entries_per_s"] = round(ours, 3), round(theirs, 3)
    print(json.dumps(found))


def build(image_tokens: int, width: int, layers: int) -> ChatModel:
    """Build a LLaVA with the given number of tokens per image and a miniature tokenizer."""
    side = round(image_tokens**0.5) * PATCH
    tokenizer = build_tiny("llava").tokenizer
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
            image_size=side, patch_size=PATCH,
        ),
        text_config=LlamaConfig(
            vocab_size=4096, hidden_size=width, intermediate_size=width * 11 // 4,
            num_hidden_layers=layers, num_attention_heads=width // 64,
            num_key_value_heads=width // 64, max_position_embeddings=2048,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=image_tokens,
        vision_feature_layer=-1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config).train()
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LlavaModel.template,
    )
    return LlavaModel("bench", model, processor, get_convention("unit-padded"))


def make_step(chat: ChatModel, image_tokens: int, counts: list[int]) -> Step:
    """Make a step of images with ``counts`` entries each; all entries have the same length."""
    side = round(image_tokens**0.5) * PATCH
    draw = random.Random(f"{image_tokens} {counts}")
    pixels = np.random.default_rng(sum(counts))
    empty = chat.encode("", "", [], (side, side))
    length = max(k for k, i in enumerate(empty.prompt) if i == chat.image_token) + 1 + TEXT
    return Step(
        groups=[
            [make_entry(chat, (side, side), length, k, draw) for k in range(count)]
            for count in counts
        ],
        images=[
            Image.fromarray(pixels.integers(0, 256, (side, side, 3), dtype=np.uint8))
            for _ in counts
        ],
    )


def make_entry(
    chat: ChatModel, size: tuple[int, int], length: int, number: int, draw: random.Random
) -> Entry:
    question = f"{chr(ord('A') + number)}?"  # questions already differ in their first token
    answer = ""
    for _ in itertools.count():
        encoded = chat.encode(question, answer, [], size)
        missing = length - len(encoded.prompt) - len(encoded.target)
        if missing <= 0:
            return Entry(question, answer, encoded)
        word = draw.choice(WORDS) if missing > 12 else "a"
        if len(encoded.prompt) < length - TEXT // 2:
            question += f" {word}"
        else:
            answer += f" {word}"
    raise AssertionError


@dataclass
class Cell:
    """Entries/s of both layouts, the ratio of these, and the ratio of the token counts."""

    separate: float
    packed: float
    ratio: float
    limit: float


def measure(chat: ChatModel, steps: list[Step], seconds: float) -> Cell:
    """Time steps of both layouts in turn for ``seconds`` seconds, but at least two pairs."""
    runs: dict[bool, list[list[float]]] = {}
    models, tokens, items = {}, {}, {}
    for packed in (False, True):
        models[packed] = prepare(chat.model, packed)
        items[packed] = [lay(chat, step, packed) for step in steps]
        tokens[packed] = sum(batch.tokens for batch, _ in items[packed])
        runs[packed] = [[] for _ in steps]
        # a first step on one image loads the kernels and makes the optimizer state
        run(models[packed], lay(chat, Step(steps[0].groups[:1], steps[0].images[:1]), packed))
    begun = time.perf_counter()
    rounds = 0
    while rounds * len(steps) < 2 or time.perf_counter() - begun < seconds:
        for number in range(len(steps)):
            for packed in (False, True):
                runs[packed][number].append(run(models[packed], items[packed][number]))
        rounds += 1
    entries = sum(len(group) for step in steps for group in step.groups)
    rate = {p: entries / sum(statistics.median(each) for each in runs[p]) for p in runs}
    return Cell(rate[False], rate[True], rate[True] / rate[False], tokens[False] / tokens[True])


def prepare(model: Any, packed: bool) -> tuple[Any, torch.optim.Optimizer]:
    mine = copy.deepcopy(model)
    if packed:
        use_packed_attention(mine)
    return mine, torch.optim.AdamW(mine.parameters(), lr=1e-4, fused=True)


def lay(chat: ChatModel, step: Step, packed: bool) -> tuple[Batch, dict[str, torch.Tensor]]:
    """Lay a step out as one row with all groups, or as one row per entry."""
    groups = [[entry.encoded for entry in group] for group in step.groups]
    plan = lay_out(groups, chat.image_token, packed=packed, tokens_per_row=100_000)
    pixels = [chat._images(chat._process([chat.prepare(image)])) for image in step.images]
    batch = collate(plan.rows, pad=chat.tokenizer.pad_token_id)
    return batch, chat.join([pixels[k] for k in plan.images])


def run(
    trained: tuple[Any, torch.optim.Optimizer], item: tuple[Batch, dict[str, torch.Tensor]]
) -> float:
    """Run one complete step and return its seconds."""
    model, optimizer = trained
    batch, images = item
    started = now()
    logits = model(**model_inputs(model, batch, images)).logits
    entry_losses(logits, batch).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return now() - started


def packed_from_text(chat: ChatModel, steps: list[Step]) -> float:
    """Return packed entries/s with tokenisation and image preparation, without the first step."""
    trained = prepare(chat.model, packed=True)
    seconds, entries = 0.0, 0
    for number, step in enumerate(steps):
        started = now()
        for group, image in zip(step.groups, step.images, strict=True):
            for entry in group:
                entry.encoded = chat.encode(entry.question, entry.answer, [], image.size)
        run(trained, lay(chat, step, packed=True))
        if number:
            seconds += now() - started
            entries += sum(len(group) for group in step.groups)
    return entries / seconds


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes the end of every step, so that the time between ends includes collating."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time at which a step ends."""
        self.ends.append(now())


def trl_rate(chat: ChatModel, steps: list[Step]) -> float:
    """Return entries/s of TRL's SFTTrainer on steps of one size, without the first step."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "images": [image],
            "prompt": [{"role": "user", "content": entry.question}],
            "completion": [{"role": "assistant", "content": entry.answer.strip()}],
        }
        for step in steps
        for group, image in zip(step.groups, step.images, strict=True)
        for entry in group
    ]
    size = len(rows) // len(steps)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=copy.deepcopy(chat.model),
            processing_class=chat.processor,
            train_dataset=Dataset.from_list(rows),
            callbacks=[clock],
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=size,
                max_steps=len(steps),
                optim="adamw_torch_fused",
                learning_rate=1e-4,
                lr_scheduler_type="constant",
                max_grad_norm=0,  # the step of the comparison does not clip either
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                max_length=None,
                completion_only_loss=True,
                train_sampling_strategy="sequential",
                dataloader_pin_memory=False,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            ),
        )
        trainer.train()
    return size * (len(steps) - 1) / (clock.ends[-1] - clock.ends[0])


if __name__ == "__main__":
    main()
