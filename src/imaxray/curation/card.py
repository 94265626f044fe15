"""Writes the dataset card, by which ``datasets.load_dataset(FOLDER)`` finds the tables.

``datasets`` keeps what it loaded in a cache whose key is the folder's last name and a hash of the
card's front matter; neither the path nor the content of the tables enters it. The front matter
therefore states a digest of the tables, so that two datasets never share a key.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from imaxray._common.files import sha256
from imaxray.curation.decisions import card_lines
from imaxray.curation.selecting.densities import density
from imaxray.curation.tables import Tables
from imaxray.schema import IS_DERIVED, IS_PSEUDO, SPLITS, mark_derived, task_names
from imaxray.sources import described_source

_HF_SPLIT = {"train": "train", "val": "validation", "test": "test"}


def write_card(tables: Tables, path: Path) -> None:
    """Write the card to ``path``: configs for the loader, density, and duties of the user.

    Args:
        tables: Tables of the dataset.
        path: File to write; the Parquet files of the dataset are already beside it.
    """
    digest = _tables_digest(path.parent)
    splits = [split for split in SPLITS if not tables.split(split).is_empty()]
    entries = [{"split": _HF_SPLIT[s], "path": f"entries/{s}.parquet"} for s in splits]
    configs: list[dict[str, Any]] = [
        {"config_name": "entries", "data_files": entries, "default": True},
        *(
            {"config_name": name, "data_files": [{"split": "train", "path": f"{name}.parquet"}]}
            for name in ("images", "annotations", "rejects")
        ),
    ]
    front = {
        "license": "other",
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "tags": ["medical", "radiology", "chest-x-ray", "imaxray"],
        "configs": configs,
        "dataset_info": [
            {"config_name": config["config_name"], "description": f"Tables with digest {digest}."}
            for config in configs
        ],
    }
    dense = density(tables)
    names = sorted({file.source for file in tables.files})
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False).strip(),
        "---",
        "",
        "# Image-centric multi-annotation radiographs",
        "",
        f"{dense.images:,} training images of {dense.patients:,} patients with {dense.entries:,} "
        f"entries: {dense.tasks_per_image:.2f} tasks and {dense.entries_per_image:.2f} entries an "
        "image."
        if dense.entries
        else "For evaluation only: there are no training images.",
        "",
        "| split | " + " | ".join(dense.entries_per_task) + " |",
        "| --- |" + " ---: |" * len(dense.entries_per_task),
        *(
            f"| {split} | "
            + " | ".join(f"{n:,}" for n in density(tables, split).entries_per_task.values())
            + " |"
            for split in splits
        ),
        "",
        "Boxes are `[x1, y1, x2, y2]` in pixels of the original image; `<box>` in a prompt or "
        "target stands for the next of them. `answer` is the typed gold answer as JSON. Images are "
        "not part of this folder: `images.parquet` holds their paths inside each release.",
        "",
        *card_lines(tables.decisions),
        *_derived(tables),
        *_pseudo(tables),
        "## Releases and duties",
        "",
        "| release | access | licence | cite |",
        "| --- | --- | --- | --- |",
    ]
    for name in names:
        source = described_source(name, tables.files)
        named = f"{source.title} {source.version}"
        lines.append(
            f"| {f'[{named}]({source.url})' if source.url else source.title} | {source.access} | "
            f"{source.licence} | {source.citation} |"
        )
    lines += [
        "",
        "What is made from credentialed releases stays under their data use agreements: do not "
        "share it with anyone who has not signed them.",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _tables_digest(folder: Path) -> str:
    """Return one digest of all Parquet files of a folder, with their names."""
    digests = {p.relative_to(folder).as_posix(): sha256(p) for p in folder.rglob("*.parquet")}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _escaped(name: str) -> str:
    """Escape what a reader of Markdown would take for markup, in a name that a model gave itself.

    Underscores and hyphens, which ordinary names have, stay as they are.
    """
    plain = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", name)
    return re.sub(r"[^\w .,:@+/()-]", lambda found: f"&#{ord(found[0])};", plain)


def _derived(tables: Tables) -> list[str]:
    """Which entries nobody stated, but follow by a rule from others of the same image."""
    made = mark_derived(tables.entries).filter(IS_DERIVED)
    if made.is_empty():
        return []
    rules = made.select(pl.col("quality").str.split("+")).explode("quality")
    names = rules.select(pl.col("quality").str.strip_prefix("derived/")).to_series()
    return [
        "## Derived entries",
        "",
        f"{made.height:,} of the training entries follow from others of the same image by a rule "
        f"({', '.join(sorted(map(_escaped, names.unique())))}) and are marked `derived/` in "
        f"`quality`: {_by_task(made)}. `derivations.parquet` names the entries that each follows "
        "from. They are in neither validation nor test.",
        "",
    ]


def _by_task(entries: pl.DataFrame) -> str:
    counts = dict(entries.group_by("task").len().iter_rows())
    return ", ".join(f"{task} {counts[task]:,}" for task in task_names() if task in counts)


def _pseudo(tables: Tables) -> list[str]:
    """Which entries no person and no program stated, but a model."""
    made = tables.entries.filter(IS_PSEUDO)
    if made.is_empty():
        return []
    grades = {g for quality in made["quality"].drop_nulls() for g in quality.split("+")}
    names = {g.removeprefix("pseudo/") for g in grades if g.startswith("pseudo/")}
    models = ", ".join(sorted(map(_escaped, names))) or "not named"
    return [
        "## Pseudo entries",
        "",
        f"{made.height:,} of the training entries were written by a model ({models}) and are "
        f"marked `pseudo/` in `quality`: {_by_task(made)}. They may be wrong, and are in neither "
        "validation nor test.",
        "",
    ]
