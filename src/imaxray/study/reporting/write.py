"""Writes the report of a study from its folder."""

from __future__ import annotations

from pathlib import Path

from imaxray._common.files import whole_file
from imaxray._common.folders import record_claimed
from imaxray.report import Report, Section, attempted, require_report_place, write_report
from imaxray.report.figures import metric_bars
from imaxray.report.words import LEAD, STUDY, explained
from imaxray.study.places import PICTURE, REPORT, claim_study
from imaxray.study.reporting import comparison, data, front, learning
from imaxray.study.reporting.answers import answers
from imaxray.study.reporting.dynamics import dynamics
from imaxray.study.reporting.images import images as test_images
from imaxray.study.reporting.material import Material
from imaxray.study.reporting.methods import methods, provenance, reading
from imaxray.study.reporting.pseudo import origins
from imaxray.study.results.stored import read_outcome


def write_study_report(out: Path, path: Path | None = None, *, images: int | None = None) -> Path:
    """Write the report of a finished study, from what its folder holds; nothing is trained again.

    Args:
        out: Study folder, which :func:`imaxray.study.run_study` wrote.
        path: File to write; None: ``report.html`` in the study folder, beside ``results.png``, the
            picture of its results.
        images: Number of test images to show with their questions and answers. None: as the
            configuration says; by default none unless all releases are synthetic or open, so that a
            report may be passed on.

    Returns:
        The file that was written.

    Raises:
        ImaxrayError: If the folder holds no finished study, or the file cannot be written. What the
            folder lacks otherwise is named in the report.
    """
    target = path or out / REPORT
    require_report_place(target)  # said before the report is made
    material = Material(read_outcome(out), images)
    if path is None:
        claim_study(out, begins=False)
    write_report(study_report(material), target)
    if path is None:
        figure = metric_bars(material.outcome.only.equal_entries.as_dict())
        with whole_file(out / PICTURE) as aside:
            figure.savefig(
                aside, dpi=160, format="png", facecolor="white", metadata={"Software": None}
            )
        record_claimed(out)
    return target


def study_report(material: Material) -> Report:
    """Return everything that the report of a study shows."""
    outcome = material.outcome
    sections = [
        comparison.results(material),
        comparison.models(material),
        learning.learning(material),
        comparison.factors(material),
        Section("density", "Density", attempted("Density", lambda: data.data(material))),
        Section(
            "answers",
            "Answers of the training data",
            attempted("The answers of both arms", lambda: data.distributions(material)),
        ),
        Section("single", "Answers in detail", attempted("Answers", lambda: answers(material))),
        Section("dynamics", "Training dynamics", attempted("Dynamics", lambda: dynamics(material))),
        Section(
            "origins",
            "Origins, yields and calibration",
            attempted("Origins of the entries", lambda: origins(material)),
        ),
        Section("examples", "Examples", attempted("Examples", lambda: test_images(material))),
        Section("methods", "Methods", attempted("Methods", lambda: methods(material))),
        Section(
            "account",
            "Rows in = kept + rejected",
            attempted("The account of rows", lambda: data.account(material)),
        ),
        reading(material),
        Section("provenance", "Provenance", attempted("Provenance", lambda: provenance(material))),
    ]
    return Report(
        material.config.title,
        front.verdict(material),
        outcome.summary(),
        front.cards(material),
        front.front_parts(material),
        sections,
        LEAD,
        explained(STUDY, [t["task"] for t in outcome.only.equal_entries.as_dict()["tasks"]]),
    )
