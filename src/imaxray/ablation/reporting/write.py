"""Writes the report of an ablation from its folder."""

from __future__ import annotations

from pathlib import Path

from imaxray.ablation.reporting import sections
from imaxray.ablation.reporting.front import cards, front_parts, verdict
from imaxray.ablation.reporting.stored import read_ablation
from imaxray.ablation.run import KNOWN_BY, AblationOutcome
from imaxray.ablation.tables import summary
from imaxray.report import Report, Section, attempted, report_place, write_report
from imaxray.report.words import STRATEGY, explained
from imaxray.schema import task_names


def write_ablation_report(out: Path, path: Path | None = None) -> Path:
    """Write the report of a finished ablation, from what its folder holds; nothing is trained.

    Args:
        out: Folder of the ablation, which :func:`imaxray.ablation.run_ablation` and
            :func:`imaxray.ablation.write_ablation` wrote.
        path: File to write; None: ``report.html`` in the folder.

    Returns:
        The file that was written.

    Raises:
        ImaxrayError: If the folder holds no finished ablation, or the file cannot be written. What
            the folder lacks otherwise is named in the report.
    """
    outcome = read_ablation(out)
    with report_place(out, path, known_by=KNOWN_BY) as target:
        write_report(ablation_report(outcome), target)
    return target


def ablation_report(outcome: AblationOutcome) -> Report:
    """Return everything that the report of an ablation shows."""
    parts = {
        "arms": ("Arms", sections.arms),
        "tasks": ("Tasks", sections.tasks),
        "derived": ("Derived entries", sections.derived),
        "pseudo": ("Answers of the model", sections.filters),
        "time": ("Time", sections.speed),
        "methods": ("Methods", sections.methods),
        "reading": ("How to read this", sections.reading),
        "provenance": ("Provenance", sections.provenance),
    }
    return Report(
        outcome.config.title,
        verdict(outcome),
        summary(outcome, list(outcome.arms)),
        cards(outcome),
        front_parts(outcome),
        [
            Section(key, title, attempted(title, lambda make=make: make(outcome)))  # type: ignore[misc]
            for key, (title, make) in parts.items()
        ],
        "An arm leaves a part of the strategy out, or adds one. All arms train on DMAX (many "
        "images with one or a few tasks each), or on what was filled in for it.",
        explained(STRATEGY, task_names()),
    )
