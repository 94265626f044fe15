"""Prints how densely images are annotated, and how close two datasets are."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from imaxray._common.printing import counted, say
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imaxray.curation import ImaxConfig, Tables


def densities(tables: Tables) -> dict[str, Any]:
    """Return the annotation density of each split as plain values."""
    from imaxray.curation import density

    return {split: asdict(density(tables, split)) for split in ("train", "val", "test")}


def densities_of_made(tables: Tables) -> dict[str, Any]:
    """Return the density of the train entries that a rule derived or a model wrote, if any."""
    from imaxray.curation import density
    from imaxray.schema import IS_DERIVED, IS_PSEUDO, mark_derived

    train = mark_derived(tables.split("train"))
    made = {
        name: train.filter(mark).drop(IS_DERIVED)
        for name, mark in (("derived", IS_DERIVED), ("pseudo", IS_PSEUDO))
    }
    return {
        f"of train, {name}": asdict(density(replace(tables, entries=entries)))
        for name, entries in made.items()
        if not entries.is_empty()
    }


def print_density(name: str, splits: Mapping[str, Any]) -> None:
    """Print one row per split: images, patients, entries, densities and entries per task."""
    _print_densities(name, "split", splits, splits["train"]["entries_per_task"])


def print_changed_density(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Print the density of the train split before and after a step that adds entries."""
    rows = {"before": before, "after": after}
    _print_densities("Train split", "", rows, after["entries_per_task"])


def print_kept_density(config: ImaxConfig) -> None:
    """Say that derivation cannot raise the density of IMAX if the configuration fixes it."""
    fixed = {
        "tasks_per_image": config.tasks_per_image, "entries_per_image": config.entries_per_image,
    }  # fmt: skip
    named = [f"{name}: {value:.2f}" for name, value in fixed.items() if value is not None]
    if named:
        say(
            f"IMAX keeps the density that the configuration states ({', '.join(named)}), so "
            "derived entries take the place of others; raise or remove these keys to let it rise."
        )


def _print_densities(
    title: str, first: str, named: Mapping[str, Any], tasks: Mapping[str, int]
) -> None:
    rows = []
    for name, d in named.items():
        per_task = [f"{d['entries_per_task'].get(task, 0):,}" for task in tasks]
        counts = [f"{d[key]:,}" for key in ("images", "patients", "entries")]
        means = [f"{d[key]:.2f}" for key in ("tasks_per_image", "entries_per_image")]
        rows.append([name, *counts, *means, *per_task])
    header = [first, "images", "patients", "entries", "tasks/image", "entries/image"]
    print_table(title, [*header, *tasks], rows)


def print_match(report: Any) -> None:
    """Print how close a matched DMAX dataset is to IMAX."""
    imax, dmax = report["imax"], report["dmax"]
    if not imax["entries"]:
        say(
            "There are no train entries, so imax and dmax hold the validation and test entries "
            "only: they can be scored and exported, but not trained on."
        )
        return
    say(
        f"DMAX spreads {counted(dmax['entries'], 'entry', 'entries')} over "
        f"{counted(dmax['images'], 'image')} ({dmax['tasks_per_image']:.2f} tasks per image; "
        f"IMAX: {counted(imax['images'], 'image')}, "
        f"{imax['tasks_per_image']:.2f} tasks per image). Greatest distance of an answer "
        f"distribution: {max(report['distance'].values()):.3f}. Limit: {report['limit']}."
    )
