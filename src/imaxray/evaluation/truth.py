"""The ceiling on a phantom: what answers get that are exactly true of the images.

Labels, readers and reports of a phantom's releases err as real ones do; even the truth does not
score perfectly against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.evaluation.scoring import Scores, score_answers
from imaxray.phantom.cohort import Finding
from imaxray.phantom.records import LABEL_OF
from imaxray.phantom.reports import phrase
from imaxray.tasks import subtask_of

_UNKNOWN = object()
_VARIANTS = 2


def truth_ceiling(entries: pl.DataFrame, truth: Path) -> Scores:
    """Scores of true answers to the entries that a phantom's ``truth/`` folder decides.

    It decides calculation (the rendered ratios), grading, findings, and REC where the phrase names
    a finding. Entries of other tasks, and of anatomy, are left out: compare the number of entries.

    Args:
        entries: schema ENTRIES, of a phantom.
        truth: the folder ``truth`` that ``imaxray phantom`` wrote.

    Raises:
        ImaxrayError: the folder is none of a phantom, or knows none of the entries' images.
    """
    try:
        images = pl.read_parquet(truth / "images.parquet")
        findings = pl.read_parquet(truth / "findings.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ImaxrayError(
            f"Expected the truth of a phantom at {truth}, but images.parquet or findings.parquet "
            "is missing or damaged; name the folder truth that `imaxray phantom` wrote."
        ) from error
    facts = {row["image_id"]: row for row in images.iter_rows(named=True)}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in findings.iter_rows(named=True):
        found.setdefault(row["image_id"], []).append(row)
    answers: dict[str, Any] = {}
    for entry in entries.iter_rows(named=True):
        if entry["image_id"] in facts:
            image = entry["image_id"]
            answer = _answer(entry, facts[image], found.get(image, []))
            if answer is not _UNKNOWN:
                answers[entry["entry_id"]] = answer
    if not answers:
        raise ImaxrayError(
            f"Expected the truth of the scored images at {truth}, but it decides none of the "
            "entries; name the phantom that the dataset was built from."
        )
    decided = entries.filter(pl.col("entry_id").is_in(list(answers)))
    return score_answers(decided, lambda entry: ("", answers[entry["entry_id"]]))


def _answer(
    entry: Mapping[str, Any], image: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> Any:
    task = entry["task"]
    if task == "calculation":
        value = image[subtask_of(entry["template"])]
        return _UNKNOWN if value is None else value
    if task == "grading":
        return image["edema_grade"]
    if task == "findings":
        labels = {LABEL_OF[row["kind"]]: 1 for row in found}
        if any(row["kind"] == "consolidation" for row in found):
            labels["Lung Opacity"] = 1  # as the phantom's labels imply it
        return labels if set(labels) - {"Support Devices"} else {**labels, "No Finding": 1}
    if task == "rec":
        boxes = [row["box"] for row in found if row["box"] and _names(entry["prompt"], row)]
        return sorted(boxes) or _UNKNOWN
    return _UNKNOWN


def _names(prompt: str, row: Mapping[str, Any]) -> bool:
    finding = Finding(row["kind"], row["side"], row["zone"], row["size"])
    wordings = {phrase(finding, variant=k).lower() for k in range(_VARIANTS)}
    return any(wording in prompt.lower() for wording in wordings)
