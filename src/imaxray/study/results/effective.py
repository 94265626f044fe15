"""Says how many independent entries the data of each arm are worth, beside the gain of the arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from imaxray.dynamics import design_effect, size_biased
from imaxray.study.places import arm_dataset
from imaxray.study.results.outcome import ModelOutcome
from imaxray.study.results.sentences import over_runs

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig


def effective_table(
    config: StudyConfig, out: Path, model: ModelOutcome, sharing: pl.DataFrame
) -> pl.DataFrame:
    """Compare the design effect of each arm's train entries with its gain at equal entries.

    Entries of whole images estimate the mean gradient as well as fewer entries of as many images:
    fewer by the design effect 1 + (g̃ − 1)·ICC. The intraclass correlation is that of the gradients
    of the fixed probe; only the number of entries per image differs between arms.

    Args:
        config: Configuration of the study.
        out: Study folder.
        model: Outcome of a model.
        sharing: Schema SHARING, of the same study.

    Returns:
        One row per arm that saw as many entries as the reference, measurement and reduction, by
        density: ``arm``, ``entries_seen``, ``reduction``, ``images``, ``entries``,
        ``entries_per_image`` (mean), ``group`` (size-biased mean g̃), ``design_effect`` and
        ``effective`` (entries / design effect) with ``_low`` and ``_high`` from the interval of the
        intraclass correlation, and the mean relative ``gain`` over the reference with its interval.
    """
    rows: list[dict[str, Any]] = []
    for arm, block in config.arms.items():
        if block.budget != "entries" or block.layout != config.arms[config.reference].layout:
            continue
        images = arm_dataset(out, arm, block).tables.split("train")["image_id"]
        sizes = images.value_counts()["count"].to_numpy()
        group = size_biased(sizes)
        gain = None if arm == config.reference else model.equal_entries.mean_gain(arm)
        for of in over_runs(sharing.filter(group="all")).iter_rows(named=True):
            effects = [design_effect(group, of[key]) for key in ("icc", "icc_low", "icc_high")]
            row: dict[str, Any] = {
                "arm": arm, "entries_seen": of["entries_seen"], "reduction": of["reduction"],
                "images": len(sizes), "entries": len(images),
                "entries_per_image": len(images) / len(sizes), "group": group,
                "design_effect": effects[0], "design_effect_low": effects[1],
                "design_effect_high": effects[2],
            }  # fmt: skip
            # a correlation far below 0 has no number of effective entries
            worth = [len(images) / e if e > 0 else None for e in effects]
            row |= {"effective": worth[0], "effective_low": worth[2], "effective_high": worth[1]}
            for end in ("value", "low", "high"):
                name = "gain" if end == "value" else f"gain_{end}"
                row[name] = None if gain is None else gain[end]
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None).sort(
        "entries_seen", "reduction", "group", "arm"
    )
