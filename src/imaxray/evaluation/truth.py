"""Scores answers that are exactly true of a phantom's images, which gives the phantom's ceiling.

The labels, readers and reports of a phantom's releases contain errors, as real ones do. Therefore
even true answers do not score perfectly against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from imaxray._common.files import read_parquet
from imaxray.errors import ImaxrayError
from imaxray.evaluation.scoring import Scores, score_answers
from imaxray.metrics import NORMALISATION, Normalisation
from imaxray.phantom.cohort import Finding
from imaxray.phantom.records import LABEL_OF
from imaxray.phantom.reports import phrase
from imaxray.tasks import Question, TrueFinding, Truth, get_task

_VARIANTS = 2


def truth_ceiling(
    entries: pl.DataFrame, truth: Path, normalisation: Normalisation = NORMALISATION
) -> Scores:
    """Score true answers to the entries that a phantom's ``truth/`` folder can answer.

    Each task defines which entries the truth can answer (:meth:`imaxray.tasks.Task.true_answer`):
    calculation (the rendered ratios), grading, findings, and REC if the phrase names a finding. All
    other entries are left out, so compare the number of entries as well.

    Args:
        entries: Entries of a phantom dataset, schema ENTRIES.
        truth: Folder ``truth`` that ``imaxray phantom`` wrote.
        normalisation: How texts are made comparable when the answers are scored.

    Raises:
        ImaxrayError: If the folder is not the truth of a phantom, or cannot answer any entry.
    """
    try:
        images = read_parquet(truth / "images.parquet")
        findings = read_parquet(truth / "findings.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ImaxrayError(
            f"Expected the truth of a phantom at {truth}, but images.parquet or findings.parquet "
            "is missing or damaged; name the folder truth that `imaxray phantom` wrote."
        ) from error
    found: dict[str, list[dict[str, Any]]] = {}
    for row in findings.iter_rows(named=True):
        found.setdefault(row["image_id"], []).append(row)
    facts = {
        row["image_id"]: _truth(row, found.get(row["image_id"], []))
        for row in images.iter_rows(named=True)
    }
    answers: dict[str, Any] = {}
    for entry in entries.iter_rows(named=True):
        if entry["image_id"] in facts:
            question = Question.of(entry)
            answer = get_task(entry["task"]).true_answer(question, facts[entry["image_id"]])
            if answer is not None:
                answers[entry["entry_id"]] = answer
    if not answers:
        raise ImaxrayError(
            f"Expected the truth of the scored images at {truth}, but it answers none of the "
            "entries; name the phantom that the dataset was built from."
        )
    decided = entries.filter(pl.col("entry_id").is_in(list(answers)))
    return score_answers(
        decided, lambda entry: ("", answers[entry["entry_id"]]), normalisation=normalisation
    )


def _truth(image: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Truth:
    """Collect what the phantom's tables say about one image."""
    labels = {LABEL_OF[row["kind"]] for row in found}
    if any(row["kind"] == "consolidation" for row in found):
        labels.add("Lung Opacity")  # the phantom's labels imply it
    return Truth(
        ratios={name: image[name] for name in ("ctr", "cpar")},
        edema_grade=image["edema_grade"],
        labels=frozenset(labels),
        findings=[TrueFinding(row["box"], _wordings(row)) for row in found],
    )


def _wordings(row: Mapping[str, Any]) -> frozenset[str]:
    if not row["box"]:
        return frozenset()
    finding = Finding(row["kind"], row["side"], row["zone"], row["size"])
    return frozenset(phrase(finding, variant=k).lower() for k in range(_VARIANTS))
