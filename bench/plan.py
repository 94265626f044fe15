"""Compares estimates of `imaxray study --dry-run` with true token counts at MIMIC-CXR's size.

    python bench/plan.py [--releases FOLDER | --data FOLDER] [--model lingshu-7b]

The study is one model on IMAX (354,000 train entries), one pass, in both layouts. Three numbers per
arm:

before   from means that a user has before any data are built: the entries per image of the
         configuration (7.46, which the paper states) and --text-tokens; images of 2544 × 3056
sample   from the built data, as --dry-run counts: whole steps with --sample entries
true     every entry of the training, tokenised in batches by another way than the estimate's, and
         added up over the images of each step

The phantom stands for MIMIC-CXR: its images have true sizes, and its texts are synthetic. A model
whose files are not on this machine has its published dimensions, and its text is counted by a rule,
the same in all three. The true counts are held against the code that trains on some whole steps;
if these differ, the script stops.

Without --data, the datasets are built from --releases; without those, the phantom is written first
(together about ten minutes). It prints tables and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from imaxray.curation import Dataset, open_dataset
from imaxray.models import ChatModel, outline_model
from imaxray.schema import image_sizes
from imaxray.study import (
    EstimateConfig,
    StudyConfig,
    StudyEstimate,
    build_study_data,
    estimate_study,
    load_config,
)
from imaxray.study.estimating import count_tokens
from imaxray.training import Recipe, load_recipe, schedule

ARMS = {
    "imax, packed": {"data": "imax"},
    "imax, separate": {"data": "imax", "layout": "separate"},
}
CHECKED = 4  # steps that are counted both ways
QUESTION, ANSWER = "QUESTION", "ANSWER"  # their places in the chat template


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimates against true counts of tokens.")
    parser.add_argument("--releases", type=Path, help="folder of an existing phantom")
    parser.add_argument("--data", type=Path, help="folder of datasets that bench/build.py built")
    parser.add_argument("--config", default="mimic", help="configuration of the data")
    parser.add_argument("--model", default="lingshu-7b", help="model of the registry")
    parser.add_argument("--text-tokens", type=float, default=40.0, help="assumed before the build")
    parser.add_argument("--entries-per-image", type=float, help="likewise; default: configuration")
    parser.add_argument("--sample", type=int, default=20_000, help="entries that --dry-run counts")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.data or _build(args.config, args.releases, Path(name))
        data = open_dataset(folder / "imax")
        entries = data.tables.split("train")
        config = study(args.config, args.model, folder)
        each = args.entries_per_image
        before = EstimateConfig(
            entries={"imax": entries.height},
            entries_per_image={} if each is None else {"imax": each},
            text_tokens=args.text_tokens,
        )
        seconds: dict[str, float] = {}
        found: dict[str, StudyEstimate] = {}
        for way, out, how in (
            ("before", None, before), ("sample", folder, EstimateConfig(sample=args.sample)),
        ):  # fmt: skip
            began = time.perf_counter()
            found[way] = estimate_study(config, out, how)
            seconds[way] = _told(way, began)
        began = time.perf_counter()
        true = true_counts(args.model, data)
        seconds["true"] = _told("true", began)
    images = entries["image_id"].n_unique()
    told = {
        "model": args.model,
        "train_entries": entries.height,
        "entries_per_image": round(entries.height / images, 3),
        "assumed_text_tokens": args.text_tokens,
        "sampled_entries": args.sample,
        "seconds": seconds,
        "arms": compare(found, true),
    }
    _print(told)
    print(json.dumps(told))


def study(name: str, model: str, folder: Path) -> StudyConfig:
    """Return the study whose data lie in a folder, with one model and both layouts."""
    given = load_config(name).model_dump(mode="json", exclude_unset=True)
    of_data = open_dataset(folder / "imax").manifest["config"]
    same = {key: of_data[key] for key in ("verify", "releases") if key in of_data}
    arms = {"arms": ARMS, "reference": "imax, packed"}
    return StudyConfig.model_validate({
        **given, **same, "models": {model: {"recipe": model}}, **arms,
    })  # fmt: skip


def true_counts(model: str, data: Dataset) -> dict[str, dict[str, int]]:
    """Return the tokens of one pass in both layouts, from every entry.

    Args:
        model: Name of the model, which is also that of its recipe.
        data: IMAX.
    """
    train = data.tables.split("train")
    texts = (f"{p}\n{t}" for p, t in train.select("prompt", "target").unique().iter_rows())
    recipes = [load_recipe(model, layout=layout) for layout in ("packed", "separate")]
    limit = recipes[0].max_image_tokens
    chat = outline_model(model, max_image_tokens=limit, corpus=texts).chat
    known = encoded(chat, train, data)
    arms = {}
    for arm, recipe in zip(ARMS, recipes, strict=True):
        steps = recipe.training().steps_for(train.height)
        arms[arm] = true_tokens(known, train, recipe, steps)
        checked = true_tokens(known, train, recipe, CHECKED)
        trained = count_tokens(chat, data, recipe, steps=CHECKED, sample=10**9)
        if (checked["tokens"], checked["images"]) != (trained.tokens, trained.images):
            raise ValueError(f"{arm}: {checked} differs from the training's {trained}")
    return arms


Entry = tuple[list[int], int, int]
"""Ids of the prompt with the image as one token; tokens of the whole entry, and of its image."""


def encoded(chat: ChatModel, entries: pl.DataFrame, data: Dataset) -> dict[str, Entry]:
    """Tokenise entries in batches; return each by its id."""
    sizes = image_sizes(data.tables.images)
    head, _, rest = chat.chat(QUESTION, ANSWER).partition(QUESTION)
    between = rest.partition(ANSWER)[0]
    first, _, last = chat.chat(QUESTION).partition(QUESTION)
    end = chat.tokenizer.convert_ids_to_tokens(chat.end_of_turn)
    tokenizer = chat.tokenizer.backend_tokenizer
    found: dict[str, Entry] = {}
    prompts: dict[str, list[int]] = {}  # many entries ask the same
    columns = ["entry_id", "image_id", "prompt", "target", "boxes"]
    for part in entries.select(columns).iter_slices(10_000):
        asked, texts = [], []
        for _, image, prompt, target, boxes in part.iter_rows():
            question, answer = chat.written(prompt, target, boxes or [], sizes[image])
            asked.append(f"{first}{question}{last}")
            texts.append(f"{head}{question}{between}{answer}{end}")
        new = [text for text in dict.fromkeys(asked) if text not in prompts]
        for text, one in zip(
            new, tokenizer.encode_batch(new, add_special_tokens=False), strict=True
        ):
            prompts[text] = one.ids
        whole = tokenizer.encode_batch(texts, add_special_tokens=False)
        for (entry, image, *_), text, one in zip(part.iter_rows(), asked, whole, strict=True):
            tokens = chat.image_tokens(sizes[image])
            found[entry] = (prompts[text], len(one.ids) - 1 + tokens, tokens)
    return found


def true_tokens(
    known: dict[str, Entry], entries: pl.DataFrame, recipe: Recipe, steps: int
) -> dict[str, int]:
    """Add up tokens, images and image tokens of steps.

    Raises:
        ValueError: If the entries of an image exceed the tokens of a pass, which would divide them.
    """
    table = schedule(
        entries, layout=recipe.layout, entries_per_step=recipe.entries_per_step, steps=steps,
        seed=recipe.seed,
    )  # fmt: skip
    rows = table.group_by("step", "row", maintain_order=True).agg("entry_id")["entry_id"]
    tokens = images = of_images = 0
    for group in rows:
        members = [known[entry] for entry in group]
        image = members[0][2]
        shared = 0
        if len(members) > 1:
            shared = _shared([prompt for prompt, _, _ in members]) + image - 1
        length = shared + sum(whole - shared for _, whole, _ in members)
        if length > (recipe.tokens_per_batch or length):
            raise ValueError(f"an image has {length} tokens, more than {recipe.tokens_per_batch}")
        tokens, images, of_images = tokens + length, images + 1, of_images + image
    seen = steps * recipe.entries_per_step
    return {"seen": seen, "tokens": tokens, "images": images, "image_tokens": of_images}


def _shared(prompts: list[list[int]]) -> int:
    """Return the length of the common beginning of prompts, without the last token of any."""
    limit = min(map(len, prompts)) - 1
    first, last = min(prompts), max(prompts)  # what these two share, all share
    return next((k for k in range(limit) if first[k] != last[k]), limit)


def compare(
    found: dict[str, StudyEstimate], true: dict[str, dict[str, int]]
) -> dict[str, dict[str, Any]]:
    """Return the tokens of each arm by way, and their ratios to the true ones.

    Raises:
        ValueError: If an arm has no estimate.
    """
    arms = {}
    for before, sample in zip(*(one.units for one in found.values()), strict=True):
        units = {"before": before, "sample": sample}
        of = true[sample.arm]
        counts = dict(_counts(units))
        assert sample.tokens is not None and sample.memory is not None
        arms[sample.arm] = {
            "steps": sample.steps,
            "tokens": {**counts, "true": of["tokens"]},
            "ratio": {way: round(count / of["tokens"], 4) for way, count in counts.items()},
            "error_of_sample": round(sample.tokens.error / of["tokens"], 4),
            "images_encoded": {"sample": sample.tokens.images, "true": of["images"]},
            "text_tokens_per_entry": round((of["tokens"] - of["image_tokens"]) / of["seen"], 2),
            "parameters": sample.parameters,
            "trained": sample.trained,
            "gigabytes": round((sample.memory.total or 0) / 1e9, 1),
        }
    return arms


def _counts(units: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for way, unit in units.items():
        if unit.tokens is None:
            raise ValueError(f"{unit.unit}: {unit.problem}")
        yield way, unit.tokens.tokens


def _told(way: str, began: float) -> float:
    seconds = round(time.perf_counter() - began, 1)
    print(f"{way}: {seconds} s", file=sys.stderr, flush=True)
    return seconds


def _print(told: dict[str, Any]) -> None:
    table = Table(title=f"Tokens of one pass of {told['model']}, in millions")
    for column in ("arm", "before", "sample", "true", "before / true", "sample / true", "GB"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm, one in told["arms"].items():
        table.add_row(
            arm, *(f"{count / 1e6:,.2f}" for count in one["tokens"].values()),
            f"{one['ratio']['before']:.3f}",
            f"{one['ratio']['sample']:.4f} ± {one['error_of_sample']:.4f}",
            f"{one['gigabytes']:.1f}",
        )  # fmt: skip
    Console(width=110).print(table)
    print(f"{told['train_entries']:,} entries, {told['entries_per_image']} per image")


def _build(config: str, releases: Path | None, folder: Path) -> Path:
    if releases is None:
        releases = folder / "releases"
        phantom = ["phantom", str(releases), "--scale", "mimic", "--no-images"]
        subprocess.run([sys.executable, "-m", "imaxray.cli", *phantom], check=True)
    loaded = load_config(config)
    present = {name: path for name, path in loaded.releases.items() if (releases / path).is_dir()}
    # the phantom of this size has no pixels to look at
    update = {"verify": "none", "releases": present}
    build_study_data(loaded.model_copy(update=update), folder / "data", root=releases)
    return folder / "data"


if __name__ == "__main__":
    main()
