"""Finds gold answers that contradict the labels of their image.

The clinical rules (:mod:`imaxray.clinical`) define a contradiction, as in a build. A label counts
as negative if an annotation says so, or if ``No Finding`` is positive and no annotation states the
label itself. Uncertain and unknown labels contradict nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.clinical import answer_verdict, report_verdicts
from imaxray.schema import FINDINGS, TaskName
from imaxray.tasks import from_json, subtask_of

_NONE: Final = "No Finding"

_Entry = tuple[str, str, str, str, str, Any]  # id, split, image, template, prompt, gold answer
_Labels = Mapping[str, float | None]


def ratio(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find cardiothoracic ratios that contradict the label Cardiomegaly."""
    labels, rule = _labels(audit_input), audit_input.clinical["ctr-cardiomegaly"]
    for entry, split, image, template, _, gold in _entries(audit_input, "calculation"):
        label = labels.get(image, {}).get("Cardiomegaly")
        if subtask_of(template) == "ctr" and rule.contradicts(gold, label):
            yield _issue("ctr-cardiomegaly", split, entry, image, "Cardiomegaly", label)


def grade(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find edema grades that contradict the label Edema."""
    labels, rule = _labels(audit_input), audit_input.clinical["edema-grade-label"]
    for entry, split, image, _, _, gold in _entries(audit_input, "grading"):
        label = labels.get(image, {}).get("Edema")
        if rule.contradicts(gold, label):
            yield _issue("edema-grade", split, entry, image, "Edema", label)


def report(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find reports that plainly affirm what a label denies, or deny what it affirms."""
    labels, rule = _labels(audit_input), audit_input.clinical["report-label"]
    for entry, split, image, _, _, gold in _entries(audit_input, "report"):
        if image in labels:
            verdicts = report_verdicts(rule, "\n".join(gold.values()), labels[image])
            for label, verdict in verdicts.items():
                if verdict == "contradict":
                    value = labels[image][label]
                    yield _issue("report-labels", split, entry, image, label, value)


def vqa(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find yes/no answers to a question about a finding that contradict its label."""
    labels, rule = _labels(audit_input), audit_input.clinical["question-label"]
    for entry, split, image, _, prompt, gold in _entries(audit_input, "vqa"):
        if not gold["closed"] or image not in labels or len(gold["answers"]) != 1:
            continue
        question = prompt.removesuffix("Answer briefly.")
        judged = answer_verdict(rule, question, gold["answers"][0], labels[image])
        if judged is not None and judged[1] == "contradict":
            value = labels[image][judged[0]]
            yield _issue("vqa-labels", split, entry, image, judged[0], value)


def limits(audit_input: AuditInput) -> str | None:
    """Say that no contradiction can be found if no label is known."""
    return "no label of any image is known" if audit_input.labels.is_empty() else None


def _issue(
    code: str, split: str, entry: str, image: str, label: str, value: float | None
) -> AuditIssue:
    says = "positive" if value else "negative"
    return AuditIssue(code, split, entry, f"{label} is {says} for its image {image}")


def _entries(audit_input: AuditInput, task: TaskName) -> Iterator[_Entry]:
    rows = audit_input.entries.filter(pl.col("task") == task, pl.col("answer").is_not_null())
    columns = ("entry_id", "split", "image_id", "template", "prompt", "answer")
    for *given, answer in rows.select(columns).iter_rows():
        yield (*given, from_json(answer))


def _labels(audit_input: AuditInput) -> dict[str, _Labels]:
    """Return, per image, label → 1, 0 or ``None`` if uncertain; unknown labels are left out."""
    stated: dict[str, dict[str, float]] = {}
    for image, name, value in audit_input.labels.iter_rows():
        stated.setdefault(image, {})[name] = value
    return {image: _with_denied(labels) for image, labels in stated.items()}


def _with_denied(stated: Mapping[str, float]) -> _Labels:
    """Return the labels of one image, including those that ``No Finding`` denies."""
    labels: dict[str, float | None] = {k: v if v in (0, 1) else None for k, v in stated.items()}
    if stated.get(_NONE) == 1:
        labels = {**dict.fromkeys(FINDINGS, 0.0), **labels}
    return labels
