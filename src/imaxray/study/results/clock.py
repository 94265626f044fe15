"""Reads after training what each arm had reached when the reference had finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from imaxray.study.budget import read_run, training_seconds
from imaxray.study.places import run_folders
from imaxray.training import read_curve, read_evaluations

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig

CLOCK = pl.Schema(
    {
        "arm": pl.String,
        "seed": pl.Int64,
        "seconds": pl.Float64,
        "clock": pl.String,
        "share": pl.Float64,
        "entries_seen": pl.Int64,
        "entries_then": pl.Int64,
        "loss_then": pl.Float64,
    }
)


def clock_table(config: StudyConfig, out: Path, model: str) -> pl.DataFrame:
    """Return what each run of a model had reached at the time at which the reference finished.

    So a claim about equal compute does not hang on a number of steps that was planned.

    Returns:
        One row per arm and seed, schema CLOCK: ``seconds`` of training on ``clock``, their
        ``share`` of the reference's, ``entries_seen`` in all, and ``entries_then`` and
        ``loss_then``, the entries seen and the loss on the val split when as much time had passed
        as the reference took. ``loss_then`` is null unless ``training.eval_every`` was set, or if
        the run had ended.

    Raises:
        ImaxrayError: If a run is missing or its files are damaged.
    """
    arms = [name for name, arm in config.arms.items() if arm.is_trained]
    limits = _of(config, out, model, config.reference)
    rows = []
    for arm in arms:
        for seed, folder, limit in zip(
            config.training_seeds, run_folders(config, out, model, arm), limits, strict=True
        ):
            run = read_run(folder)
            seconds, clock = training_seconds(run)
            share = limit / seconds  # the curve's seconds are of the other clock, but in proportion
            entries, loss = _then(folder, share)
            rows.append(
                (arm, seed, seconds, clock, seconds / limit, run["entries_seen"], entries, loss)
            )
    return pl.DataFrame(rows, schema=CLOCK, orient="row")


def _of(config: StudyConfig, out: Path, model: str, arm: str) -> list[float]:
    return [training_seconds(read_run(f))[0] for f in run_folders(config, out, model, arm)]


def _then(folder: Path, share: float) -> tuple[int, float | None]:
    """Return the entries seen and the val loss of a run after a share of its own time."""
    advice = f"remove {folder}, so that the run is trained again"
    curve = read_curve(folder, advice=advice)
    end = curve[-1]["seconds"]
    then = share * end
    entries = _at(then, [(p["seconds"], p["entries_seen"]) for p in curve])
    if share > 1.05:
        return round(entries), None
    seconds_of = {point["step"]: point["seconds"] for point in curve}
    losses = read_evaluations(folder, advice=advice)
    known = [(seconds_of[v["step"]], v["loss"]) for v in losses if v["step"] in seconds_of]
    return round(entries), None if len(known) < 2 else _at(then, known)


def _at(x: float, points: Sequence[tuple[float, float]]) -> float:
    """Interpolate between points; before the first and after the last one its own value counts.

    Example:
        >>> _at(2.0, [(0.0, 10.0), (4.0, 20.0)]), _at(9.0, [(0.0, 10.0), (4.0, 20.0)])
        (15.0, 20.0)
    """
    before = [point for point in points if point[0] <= x]
    after = [point for point in points if point[0] > x]
    if not before or not after:
        return float((before or after)[-1 if before else 0][1])
    (x0, y0), (x1, y1) = before[-1], after[0]
    return float(y0 + (y1 - y0) * (x - x0) / (x1 - x0))


def clock_sentence(table: pl.DataFrame, reference: str, arm: str) -> str:
    """Say how long an arm trained against the reference, and what it had reached at that time."""
    own = table.filter(arm=arm).mean()
    base = table.filter(arm=reference).mean()
    clock = "of the processor" if table["clock"][0] == "cpu" else "on the clock"
    said = (
        f"{arm} took {own['seconds'][0]:.0f} s {clock}, {own['share'][0]:.2f} times as long as "
        f"{reference}; when {reference} had finished, it had seen {own['entries_then'][0]:,.0f} "
        f"entries ({reference}: {base['entries_then'][0]:,.0f})"
    )
    if own["loss_then"][0] is None or base["loss_then"][0] is None:
        return said + "."
    return (
        f"{said} and had a validation loss of {own['loss_then'][0]:.3f} "
        f"({reference}: {base['loss_then'][0]:.3f})."
    )
