"""Gold answers that contradict what other annotations say of the same image.

A label counts as negative where an annotation says so, or where ``No Finding`` is positive and
nothing is said of the label itself; uncertain and unknown labels contradict nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.labeller import asked, stated
from imaxray.schema import TaskName
from imaxray.tasks import from_json, subtask_of

_NONE: Final = "No Finding"
_WIDE: Final = 0.5  # the usual limit of the cardiothoracic ratio in adults

_Entry = tuple[str, str, str, str, str, Any]  # id, split, image, template, prompt, gold answer


def ratio(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """A cardiothoracic ratio above 0.5, but no cardiomegaly."""
    labels = _labels(audit_input)
    for entry, split, image, template, _, gold in _entries(audit_input, "calculation"):
        wide = subtask_of(template) == "ctr" and gold > _WIDE
        if wide and _value(labels, image, "Cardiomegaly") == 0:
            yield _issue("ctr-cardiomegaly", split, entry, image, "Cardiomegaly", 0)


def grade(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """An edema grade above 0, but no edema."""
    labels = _labels(audit_input)
    for entry, split, image, _, _, gold in _entries(audit_input, "grading"):
        if gold > 0 and _value(labels, image, "Edema") == 0:
            yield _issue("edema-grade", split, entry, image, "Edema", 0)


def report(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """A report plainly affirms what a label denies, or denies what it affirms."""
    labels = _labels(audit_input)
    for entry, split, image, _, _, gold in _entries(audit_input, "report"):
        if image in labels:
            for label, value in stated("\n".join(gold.values())).items():
                if _value(labels, image, label) == 1 - value:
                    yield _issue("report-labels", split, entry, image, label, 1 - value)


def vqa(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """A question for a finding is answered yes where the label says no, or the reverse."""
    labels = _labels(audit_input)
    for entry, split, image, _, prompt, gold in _entries(audit_input, "vqa"):
        if not gold["closed"] or image not in labels or gold["answers"] not in (["yes"], ["no"]):
            continue
        question = asked(prompt.removesuffix("Answer briefly."))
        if question is None:
            continue
        label, whole = question
        yes = gold["answers"] == ["yes"]
        # "no" for one lung leaves the other
        if (yes or whole) and _value(labels, image, label) == (0 if yes else 1):
            yield _issue("vqa-labels", split, entry, image, label, 0 if yes else 1)


def limits(audit_input: AuditInput) -> str | None:
    """Nothing can be contradicted where no label is known."""
    return "no label of any image is known" if audit_input.labels.is_empty() else None


def _issue(code: str, split: str, entry: str, image: str, label: str, value: int) -> AuditIssue:
    says = "positive" if value else "negative"
    return AuditIssue(code, split, entry, f"{label} is {says} for its image {image}")


def _entries(audit_input: AuditInput, task: TaskName) -> Iterator[_Entry]:
    rows = audit_input.entries.filter(pl.col("task") == task, pl.col("answer").is_not_null())
    columns = ("entry_id", "split", "image_id", "template", "prompt", "answer")
    for *given, answer in rows.select(columns).iter_rows():
        yield (*given, from_json(answer))


def _labels(audit_input: AuditInput) -> dict[str, dict[str, float]]:
    labels: dict[str, dict[str, float]] = {}
    for image, name, value in audit_input.labels.iter_rows():
        labels.setdefault(image, {})[name] = value
    return labels


def _value(labels: Mapping[str, Mapping[str, float]], image: str, name: str) -> float | None:
    """1 or 0, -1 for uncertain; ``None`` for unknown."""
    of_image = labels.get(image, {})
    if name in of_image:
        return of_image[name]
    return 0.0 if of_image.get(_NONE) == 1 else None
