"""Writes the dataset card, by which ``datasets.load_dataset(FOLDER)`` finds the tables."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from imaxray.curation.decisions import card_lines
from imaxray.curation.densities import density
from imaxray.curation.tables import Tables
from imaxray.schema import IS_PSEUDO, SPLITS, task_names
from imaxray.sources import get_source

_HF_SPLIT = {"train": "train", "val": "validation", "test": "test"}


def write_card(tables: Tables, path: Path) -> None:
    """Write the card to ``path``: configs for the loader, density, and duties of the user."""
    splits = [split for split in SPLITS if not tables.split(split).is_empty()]
    entries = [{"split": _HF_SPLIT[s], "path": f"entries/{s}.parquet"} for s in splits]
    front = {
        "license": "other",
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "tags": ["medical", "radiology", "chest-x-ray", "imaxray"],
        "configs": [
            {"config_name": "entries", "data_files": entries, "default": True},
            *(
                {"config_name": name, "data_files": [{"split": "train", "path": f"{name}.parquet"}]}
                for name in ("images", "annotations", "rejects")
            ),
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
        "image.",
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
        *_pseudo(tables),
        "## Releases and duties",
        "",
        "| release | access | licence | cite |",
        "| --- | --- | --- | --- |",
    ]
    for name in names:
        source = get_source(name)
        lines.append(
            f"| [{source.title} {source.version}]({source.url}) | {source.access} | "
            f"{source.licence} | {source.citation} |"
        )
    lines += [
        "",
        "What is made from credentialed releases stays under their data use agreements: do not "
        "share it with anyone who has not signed them.",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _escaped(name: str) -> str:
    """Escape what a reader of Markdown would take for markup, in a name that a model gave itself.

    Underscores and hyphens, which ordinary names have, stay as they are.
    """
    plain = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", name)
    return re.sub(r"[^\w .,:@+/()-]", lambda found: f"&#{ord(found[0])};", plain)


def _pseudo(tables: Tables) -> list[str]:
    """Which entries no person and no program stated, but a model."""
    made = tables.entries.filter(IS_PSEUDO)
    if made.is_empty():
        return []
    counts = dict(made.group_by("task").len().iter_rows())
    by_task = ", ".join(f"{task} {counts[task]:,}" for task in task_names() if task in counts)
    names = {quality.removeprefix("pseudo/") for quality in made["quality"]}
    models = ", ".join(sorted(map(_escaped, names)))
    return [
        "## Pseudo entries",
        "",
        f"{made.height:,} of the training entries were written by a model ({models}) and are "
        f"marked `pseudo/` in `quality`: {by_task}. They may be wrong, and are in neither "
        "validation nor test.",
        "",
    ]
