"""Describes results about training dynamics in sentences, whichever arm they favour."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from imaxray.dynamics.grouping import MEAN
from imaxray.evaluation import signed_text

LABELS: Final = {"se": "SE", "rho": "rho", "h2": "H2"}
DIRECTIONS: Final = {"se": "lower", "rho": "higher"}
"""Directions that the paper (arXiv 2504.09967) states for IMAX, from a correlation with its task
scores."""

GRADIENTS: Final = {"sum": "raw", "unit-norm": "unit-norm"}
_DRAWS: Final = {
    "apart": "one entry per image",
    "together": "whole images, with as many same-image pairs as the data allow",
}


def contrast(table: pl.DataFrame, spectra: pl.DataFrame, seeds: int) -> list[str]:
    """Compare IMAX with DMAX on the fixed probe after training."""
    if table.is_empty():
        last = spectra.filter(pl.col("entries_seen") == spectra["entries_seen"].max(), group="all")
        told = [
            f"{LABELS[name]} is {_of(last, 'imax', name):.3f} under IMAX and "
            f"{_of(last, 'dmax', name):.3f} under DMAX"
            for name in LABELS
        ]
        return [
            f"After {last['entries_seen'][0]:,} entries, on one fixed probe: {', '.join(told)}. "
            "One seed per arm gives no interval; it takes at least three to tell whether the arms "
            "differ."
        ]
    last = table.filter(pl.col("entries_seen") == table["entries_seen"].max())
    said = []
    for reduction, gradients in GRADIENTS.items():
        parts = []
        for row in last.filter(reduction=reduction).iter_rows(named=True):
            name = row["statistic"]
            if name in LABELS:
                paper = DIRECTIONS.get(name)
                stated = "" if paper is None else f"; the paper states {paper}"
                found = verdict(row)
                if found != "not distinguishable":
                    found = f"{found} under IMAX"
                parts.append(
                    f"{LABELS[name]} is {found} ({row['value']:.3f} against "
                    f"{row['other']:.3f}, difference {signed_text(row, 'difference')}{stated})"
                )
        said.append(
            f"After {last['entries_seen'][0]:,} entries, with {seeds} seeds per arm, on one fixed "
            f"probe, for {gradients} gradients: {'; '.join(parts)}."
        )
    unsure = [
        f"{LABELS[row['statistic']]} ({GRADIENTS[row['reduction']]})"
        for row in last.iter_rows(named=True)
        if row["statistic"] in LABELS and not row["ordering_holds"]
    ]
    said.append(
        "The order of the arms is the same at N/4, N/2 and N entries of the probe for all "
        "statistics" + (f" except {', '.join(unsure)}." if unsure else ".")
    )
    if seeds < 3:
        said.append(
            "Fewer than three seeds per arm were trained; do not report intervals over so few."
        )
    return said


def crossed(table: pl.DataFrame, seeds: int) -> list[str]:
    """Say how much of the difference on the arms' own probes comes from models and from data."""
    if table.is_empty():
        return []
    said = []
    for reduction, gradients in GRADIENTS.items():
        for name in DIRECTIONS:
            for row in table.filter(reduction=reduction, statistic=name).iter_rows(named=True):
                parts = {
                    part: signed_text(row, part, f"{part}_") for part in ("own", "model", "probe")
                }
                text = (
                    f"Each model on a probe of its own train entries ({_DRAWS[row['draw']]}; "
                    f"{gradients} gradients): {LABELS[name]} under IMAX minus {LABELS[name]} under "
                    f"DMAX is {parts['own']}. The model contributes {parts['model']} and the "
                    f"entries of the probe contribute {parts['probe']}; {_share(row, seeds)}."
                )
                said += [text]
    return said


def tasks(table: pl.DataFrame, seeds: int) -> list[str]:
    """Compare the gradient cosine of task pairs, with and without pairs of entries of one image."""
    said = []
    for row in (
        table.filter(reduction="sum").sort("same_image", descending=True).iter_rows(named=True)
    ):
        pairs = "all pairs of entries" if row["same_image"] else "no pairs of one image"
        if row["cosine_imax"] is None or row["cosine_dmax"] is None:
            said.append(f"Tasks ({pairs}): there are too few entries for a debiased cosine.")
            continue
        told = (
            "" if seeds < 2 else f", difference {signed_text(row, 'cosine_difference', 'cosine_')}"
        )
        said.append(
            f"Tasks ({pairs}): the mean debiased cosine of two tasks is {row['cosine_imax']:.3f} "
            f"under IMAX and {row['cosine_dmax']:.3f} under DMAX{told}; the share of task pairs in "
            f"conflict is {100 * row['conflict_rate_imax']:.0f} % and "
            f"{100 * row['conflict_rate_dmax']:.0f} %."
        )
    return said


def shared_images(groups: pl.DataFrame, effects: pl.DataFrame, power_: pl.DataFrame) -> list[str]:
    """Say what drawing whole images does alone, what a naive comparison is made of, and the power.

    Args:
        groups: Table of :func:`imaxray.dynamics.groups_table`; tables may be empty.
        effects: Table of :func:`imaxray.dynamics.effects_table`.
        power_: Table of :func:`imaxray.dynamics.power_table`.
    """
    said = []
    for row in over_runs(groups).iter_rows(named=True):
        at = row["group"] == "all" and row["reduction"] == "unit-norm" and row["statistic"] == "se"
        if at and row["observed"] is not None:
            said.append(
                f"Drawing {row['entries']} entries by whole images ("
                f"{row['entries_per_image']:.1f} per image) instead of one per image changes SE by "
                f"{signed_text(row, 'observed', 'observed_')} under the same weights, after "
                f"{row['entries_seen']:,} entries of training (unit-norm gradients)."
            )
    if not effects.is_empty():
        for row in effects.filter(
            pl.col("entries") == pl.col("entries").max(), statistic="se"
        ).iter_rows(named=True):
            parts = {
                part: signed_text(row, part, f"{part}_")
                for part in ("naive", "sampling", "entry", "training")
            }
            said.append(
                f"A naive comparison, each model on batches of {row['entries']} entries of its own "
                f"data drawn by whole images ({GRADIENTS[row['reduction']]} gradients), reports a "
                f"difference in SE of {parts['naive']}. Of it, the way to draw makes "
                f"{parts['sampling']}, the entries {parts['entry']}, and training "
                f"{parts['training']}."
            )
    return [*said, *power(power_)]


def power(table: pl.DataFrame) -> list[str]:
    """Say how small a difference the study could have found."""
    said = []
    for row in table.iter_rows(named=True):
        if row["statistic"] not in LABELS or row["reduction"] not in GRADIENTS:
            continue
        needs = (
            "no number of seeds up to 100,000 would show"
            if row["seeds"] is None
            else f"it would take {row['seeds']:,} seeds per arm to show"
        )
        said.append(
            f"Power: on the fixed probe this study would find a difference in "
            f"{LABELS[row['statistic']]} ({GRADIENTS[row['reduction']]} gradients) of "
            f"{row['smallest']:.3f} or more in 80 % of its repetitions; {needs} the "
            f"{row['predicted']:+.4f} that drawing {row['entries']} entries by whole images makes "
            "alone."
        )
    return said


def over_runs(table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the mean over runs of a table of runs, or those of its only run."""
    if table.is_empty():
        return table
    means = table.filter(run=MEAN)
    return table if means.is_empty() else means


def verdict(row: dict[str, Any]) -> str:
    """Return higher, lower or not distinguishable, by the interval of a difference."""
    return "higher" if row["low"] > 0 else "lower" if row["high"] < 0 else "not distinguishable"


def _share(row: dict[str, Any], seeds: int) -> str:
    """Say which of the two parts can be distinguished from 0 and which is larger."""
    if seeds < 2:
        larger = "model" if abs(row["model"]) > abs(row["probe"]) else "entries"
        return f"the part of the {larger} is larger, but one seed gives no interval"
    model, probe = (row[f"{t}_low"] > 0 or row[f"{t}_high"] < 0 for t in ("model", "probe"))
    if model and probe:
        signs = "the same sign" if row["model"] * row["probe"] > 0 else "opposite signs"
        larger = "model" if abs(row["model"]) > abs(row["probe"]) else "entries"
        return f"both parts differ from 0 and have {signs}, and the part of the {larger} is larger"
    if model or probe:
        return f"only the part of the {'model' if model else 'entries'} differs from 0"
    return "neither part can be distinguished from 0"


def _of(last: pl.DataFrame, arm: str, name: str) -> float:
    return float(last.filter(arm=arm, reduction="sum")[name].mean())  # type: ignore[arg-type]
