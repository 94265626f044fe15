"""Results about dynamics are put into sentences, whichever arm they favour."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

LABELS: Final = {"se": "SE", "rho": "rho", "h2": "H2"}
DIRECTIONS: Final = {"se": "lower", "rho": "higher"}
"""Stated by the paper (arXiv 2504.09967) for IMAX, as a correlation with its task scores."""

GRADIENTS: Final = {"sum": "raw", "unit-norm": "unit-norm"}
_DRAWS: Final = {
    "apart": "one entry an image",
    "together": "whole images, with as many same-image pairs as the data allow",
}


def contrast(table: pl.DataFrame, spectra: pl.DataFrame, seeds: int) -> list[str]:
    """IMAX against DMAX on the fixed probe after training."""
    if table.is_empty():
        last = spectra.filter(pl.col("entries_seen") == spectra["entries_seen"].max(), group="all")
        told = [
            f"{LABELS[name]} {_of(last, 'imax', name):.3f} under IMAX and "
            f"{_of(last, 'dmax', name):.3f} under DMAX"
            for name in LABELS
        ]
        return [
            f"After {last['entries_seen'][0]:,} entries on one fixed probe: {', '.join(told)}. "
            "With one seed an arm there is no interval; three or more tell whether arms differ."
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
                if found != "not told apart":
                    found = f"{found} under IMAX"
                parts.append(
                    f"{LABELS[name]} is {found} ({row['value']:.3f} against "
                    f"{row['other']:.3f}, difference {interval(row, 'difference')}{stated})"
                )
        said.append(
            f"After {last['entries_seen'][0]:,} entries, {seeds} seeds an arm, one fixed probe, "
            f"{gradients} gradients: {'; '.join(parts)}."
        )
    unsure = [
        f"{LABELS[row['statistic']]} ({GRADIENTS[row['reduction']]})"
        for row in last.iter_rows(named=True)
        if row["statistic"] in LABELS and not row["ordering_holds"]
    ]
    said.append(
        "The ordering of the arms is the same at N/4, N/2 and N entries"
        + (f", but not for {', '.join(unsure)}." if unsure else " for all of these.")
    )
    if seeds < 3:
        said.append("Fewer than three seeds an arm: these intervals are not to be reported.")
    return said


def crossed(table: pl.DataFrame, seeds: int) -> list[str]:
    """What splitting each arm's own difference into model and data says."""
    if table.is_empty():
        return []
    said = []
    for reduction, gradients in GRADIENTS.items():
        for name in DIRECTIONS:
            for row in table.filter(reduction=reduction, statistic=name).iter_rows(named=True):
                text = (
                    f"Each model on a probe of its own train entries ({_DRAWS[row['draw']]}; "
                    f"{gradients} gradients): {LABELS[name]} under IMAX less DMAX is "
                    f"{interval(row, 'own')}, of which the model makes {interval(row, 'model')} "
                    f"and the probe's entries {interval(row, 'probe')}: {_share(row, seeds)}."
                )
                said += [text]
    return said


def tasks(table: pl.DataFrame, seeds: int) -> list[str]:
    """Whether tasks pull together, with and without what entries of one image share."""
    said = []
    for row in (
        table.filter(reduction="sum").sort("same_image", descending=True).iter_rows(named=True)
    ):
        pairs = "all pairs of entries" if row["same_image"] else "pairs of one image left out"
        if row["cosine_imax"] is None or row["cosine_dmax"] is None:
            said.append(f"Tasks ({pairs}): too few entries for a debiased cosine.")
            continue
        told = "" if seeds < 2 else f", difference {interval(row, 'cosine_difference', 'cosine')}"
        said.append(
            f"Tasks ({pairs}): mean debiased cosine of two tasks {row['cosine_imax']:.3f} under "
            f"IMAX and {row['cosine_dmax']:.3f} under DMAX{told}; pairs of tasks in conflict "
            f"{100 * row['conflict_rate_imax']:.0f} % and {100 * row['conflict_rate_dmax']:.0f} %."
        )
    return said


def verdict(row: dict[str, Any]) -> str:
    """Lower, higher, or not told apart, by the interval of a difference."""
    return "higher" if row["low"] > 0 else "lower" if row["high"] < 0 else "not told apart"


def interval(row: dict[str, Any], value: str, prefix: str | None = None) -> str:
    """A value with its interval, where it has one; ``prefix`` names the interval's columns."""
    stem = prefix if prefix is not None else "" if value == "difference" else value
    stem = f"{stem}_" if stem else ""
    low, high = row[f"{stem}low"], row[f"{stem}high"]
    if low is None or low != low:  # nan: one seed
        return f"{row[value]:+.3f}"
    return f"{row[value]:+.3f} [{low:+.3f}, {high:+.3f}]"


def _share(row: dict[str, Any], seeds: int) -> str:
    """Which of the two parts is told from 0, and which is larger."""
    if seeds < 2:
        larger = "model" if abs(row["model"]) > abs(row["probe"]) else "entries"
        return f"the larger part is of the {larger}, with one seed and no interval"
    model, probe = (row[f"{t}_low"] > 0 or row[f"{t}_high"] < 0 for t in ("model", "probe"))
    if model and probe:
        signs = "the same way" if row["model"] * row["probe"] > 0 else "opposite ways"
        larger = "model" if abs(row["model"]) > abs(row["probe"]) else "entries"
        return f"both count and pull {signs}, the {larger} more"
    if model or probe:
        return f"only the {'model' if model else 'entries'} can be told from 0"
    return "neither can be told from 0"


def _of(last: pl.DataFrame, arm: str, name: str) -> float:
    return float(last.filter(arm=arm, reduction="sum")[name].mean())  # type: ignore[arg-type]
