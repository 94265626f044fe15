"""Compares estimates of `imaxray study --dry-run` with true token counts at MIMIC-CXR's size.

    python bench/plan.py [--releases FOLDER | --data FOLDER] [--model lingshu-7b]

The study is one model on IMAX and DMAX of MIMIC-CXR's size (354,003 train entries), one pass, each
dataset in both layouts. Three numbers per arm:

before   from means that a user has before any data are built: the entries per image of the
         configuration (7.46 of IMAX, which the paper states), --dmax-entries-per-image, and
         --text-tokens; images of 2544 × 3056 pixels
sample   from the built data, as --dry-run counts by default: steps with 20,000 entries
true     from the built data, every entry of every step laid out by the code that trains

The last two also say how long they took. The phantom stands for MIMIC-CXR: its images have true
sizes and its texts are synthetic. A model whose files are not on this machine has its published
dimensions, and its text is counted by a rule, the same in all three.

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
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from imaxray.curation import open_dataset
from imaxray.study import (
    EstimateConfig,
    StudyConfig,
    StudyEstimate,
    build_study_data,
    estimate_study,
    load_config,
)

ARMS = {
    "dmax": {"data": "dmax"},
    "dmax, separate": {"data": "dmax", "layout": "separate"},
    "imax": {"data": "imax"},
    "imax, separate": {"data": "imax", "layout": "separate"},
}
EVERY = 10**9  # more entries than there are: every step is counted


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimates against true counts of tokens.")
    parser.add_argument("--releases", type=Path, help="folder of an existing phantom")
    parser.add_argument("--data", type=Path, help="folder of datasets that bench/build.py built")
    parser.add_argument("--config", default="mimic", help="configuration of the data")
    parser.add_argument("--model", default="lingshu-7b", help="model of the registry")
    parser.add_argument("--text-tokens", type=float, default=40.0, help="assumed before the build")
    parser.add_argument("--dmax-entries-per-image", type=float, default=2.0, help="assumed, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = args.data or _build(args.config, args.releases, Path(name))
        config = study(args.config, args.model, data)
        before = EstimateConfig(
            entries={"all": open_dataset(data / "imax").tables.split("train").height},
            entries_per_image={"dmax": args.dmax_entries_per_image},
            text_tokens=args.text_tokens,
        )
        found, seconds = {}, {}
        for way, out, how in (
            ("before", None, before),
            ("sample", data, EstimateConfig()),
            ("true", data, EstimateConfig(sample=EVERY)),
        ):
            began = time.perf_counter()
            found[way] = estimate_study(config, out, how)
            seconds[way] = time.perf_counter() - began
            print(f"{way}: {seconds[way]:.0f} s", file=sys.stderr, flush=True)
        told = {
            "model": args.model, "assumed": before.model_dump(),
            "seconds": {way: round(took, 1) for way, took in seconds.items()},
            "data": {role: means(data / role) for role in ("imax", "dmax")},
            "arms": compare(found),
        }  # fmt: skip
    _print(told)
    print(json.dumps(told))


def study(name: str, model: str, data: Path) -> StudyConfig:
    """Return the study whose data lie in a folder, with one model and the four arms."""
    config = load_config(name)
    given = config.model_dump(mode="json", exclude_unset=True)
    of_data = open_dataset(data / "imax").manifest["config"]
    same = {key: of_data[key] for key in ("verify", "releases") if key in of_data}
    return StudyConfig.model_validate({
        **given, **same, "models": {model: {"recipe": model}}, "arms": ARMS,
    })  # fmt: skip


def means(folder: Path) -> dict[str, float]:
    """Return the true numbers of a train split that a user would have to assume before."""
    train = open_dataset(folder).tables.split("train")
    images = train["image_id"].n_unique()
    return {"entries": train.height, "images": images, "entries_per_image": train.height / images}


def compare(found: dict[str, StudyEstimate]) -> dict[str, Any]:
    """Return the tokens of each arm by way, and their ratios to the true ones.

    Raises:
        ValueError: If an arm has no count.
    """
    arms: dict[str, Any] = {}
    for before, sample, true in zip(*(found[way].units for way in found), strict=True):
        units = {"before": before, "sample": sample, "true": true}
        counts = {way: unit.tokens for way, unit in units.items()}
        for unit in units.values():
            if unit.tokens is None or unit.memory is None:
                raise ValueError(f"{unit.unit}: {unit.problem}")
        whole = counts["true"]
        if not whole.is_exact:
            raise ValueError(f"{true.unit}: {whole.counted} of {whole.steps} steps were counted")
        seen = whole.entries_seen
        arms[true.arm] = {
            "steps": true.steps,
            "entries_seen": seen,
            "tokens": {way: count.tokens for way, count in counts.items()},
            "error": {"sample": round(counts["sample"].error)},
            "ratio": {way: round(counts[way].tokens / whole.tokens, 4) for way in units},
            "images_encoded": {way: count.images for way, count in counts.items()},
            "image_tokens_true": whole.image_tokens,
            "text_tokens_per_entry_true": round((whole.tokens - whole.image_tokens) / seen, 2),
            "parameters": true.parameters,
            "trained": true.trained,
            "gigabytes": {
                way: round(unit.memory.total / 1e9, 1) for way, unit in units.items()
            },
        }  # fmt: skip
    return arms


def _print(told: dict[str, Any]) -> None:
    table = Table(title=f"Tokens of one pass, {told['model']}, in millions")
    for column in ("arm", "before", "sample", "true", "before/true", "sample/true", "GB"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm, one in told["arms"].items():
        table.add_row(
            arm, *(f"{count / 1e6:,.1f}" for count in one["tokens"].values()),
            f"{one['ratio']['before']:.3f}", f"{one['ratio']['sample']:.4f}",
            f"{one['gigabytes']['true']:.1f}",
        )  # fmt: skip
    Console(width=100).print(table)
    for role, of in told["data"].items():
        print(f"{role}: {of['entries']:,} entries on {of['images']:,} images, "
              f"{of['entries_per_image']:.2f} per image")  # fmt: skip


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
