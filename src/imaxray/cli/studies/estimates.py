"""Prints the estimate of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.printing import say
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    from imaxray.study import StudyEstimate, UnitEstimate


def print_estimate(found: StudyEstimate) -> None:
    """Print one row per training: what it sees, what it trains, what memory and time it needs."""
    print_table(
        "Tokens and steps of each training",
        ["unit", "entries", "seen", "steps", "sequences", "images encoded", "tokens",
         "image tokens", "text tokens", "padding", "hours"],
        [_work(one) for one in found.units],
    )  # fmt: skip
    print_table(
        "Parameters, and GB of one process",
        ["unit", "parameters", "trained", "weights", "gradients", "optimizer", "activations",
         "in all"],
        [_size(one) for one in found.units],
    )  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for one in found.units:
        if one.problem is not None:
            reasons.setdefault(one.problem, []).append(one.unit)
    for reason, units in reasons.items():
        say(f"{', '.join(units)}: {reason}")
    for note in found.notes:
        say(note)


def _work(one: UnitEstimate) -> list[str]:
    counts = one.tokens
    about = "" if counts is None or counts.is_exact else "~"
    # equal compute is decided by measured times, which are not there yet
    steps = f"~{one.steps:,}" if one.steps_by == "tokens" else _number(one.steps)
    if counts is None:
        return [one.unit, _number(one.entries), "–", steps, *["–"] * 6, "–"]
    text = counts.tokens - counts.image_tokens
    return [
        one.unit, _number(one.entries), f"{counts.entries_seen:,}", steps,
        *(f"{about}{number:,}" for number in
          (counts.sequences, counts.images, counts.tokens, counts.image_tokens, text)),
        "–" if counts.padding is None else f"{about}{counts.padding:,}",
        "–" if one.hours is None else f"{one.hours:.3g}",
    ]  # fmt: skip


def _size(one: UnitEstimate) -> list[str]:
    memory = one.memory
    parts: list[int | None] = [None] * 5
    if memory is not None:
        parts = [
            memory.weights, memory.gradients, memory.optimizer, memory.activations, memory.total,
        ]  # fmt: skip
    cells = ["–" if part is None else f"{part / 1e9:.3g}" for part in parts]
    return [one.unit, _number(one.parameters), _number(one.trained), *cells]


def _number(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"
