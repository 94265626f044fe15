"""Gold answers that contradict what other annotations say of the same image.

The clinical rules (:mod:`imaxray.clinical`) tell what a contradiction is, as in a build. A label
counts as negative where an annotation says so, or where ``No Finding`` is positive and nothing is
said of the label itself; uncertain and unknown labels contradict nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from imaxray.audit.audit_input import Finding, Material
from imaxray.clinical import answer_verdict, report_verdicts
from imaxray.schema import FINDINGS, TaskName
from imaxray.tasks import from_json, subtask_of

_NONE: Final = "No Finding"

_Entry = tuple[str, str, str, str, str, Any]  # id, split, image, template, prompt, gold answer
_Labels = Mapping[str, float | None]


def ratio(material: Material) -> Iterator[Finding]:
    """A cardiothoracic ratio contradicts the label Cardiomegaly."""
    labels, rule = _labels(material), material.clinical["ctr-cardiomegaly"]
    for entry, split, image, template, _, gold in _entries(material, "calculation"):
        label = labels.get(image, {}).get("Cardiomegaly")
        if subtask_of(template) == "ctr" and rule.contradicts(gold, label):
            yield _finding("ctr-cardiomegaly", split, entry, image, "Cardiomegaly", label)


def grade(material: Material) -> Iterator[Finding]:
    """An edema grade contradicts the label Edema."""
    labels, rule = _labels(material), material.clinical["edema-grade-label"]
    for entry, split, image, _, _, gold in _entries(material, "grading"):
        label = labels.get(image, {}).get("Edema")
        if rule.contradicts(gold, label):
            yield _finding("edema-grade", split, entry, image, "Edema", label)


def report(material: Material) -> Iterator[Finding]:
    """A report plainly affirms what a label denies, or denies what it affirms."""
    labels, rule = _labels(material), material.clinical["report-label"]
    for entry, split, image, _, _, gold in _entries(material, "report"):
        if image in labels:
            verdicts = report_verdicts(rule, "\n".join(gold.values()), labels[image])
            for label, verdict in verdicts.items():
                if verdict == "contradict":
                    value = labels[image][label]
                    yield _finding("report-labels", split, entry, image, label, value)


def vqa(material: Material) -> Iterator[Finding]:
    """A question for a finding is answered yes where the label says no, or the reverse."""
    labels, rule = _labels(material), material.clinical["question-label"]
    for entry, split, image, _, prompt, gold in _entries(material, "vqa"):
        if not gold["closed"] or image not in labels or len(gold["answers"]) != 1:
            continue
        question = prompt.removesuffix("Answer briefly.")
        judged = answer_verdict(rule, question, gold["answers"][0], labels[image])
        if judged is not None and judged[1] == "contradict":
            value = labels[image][judged[0]]
            yield _finding("vqa-labels", split, entry, image, judged[0], value)


def limits(material: Material) -> str | None:
    """Nothing can be contradicted where no label is known."""
    return "no label of any image is known" if material.labels.is_empty() else None


def _finding(
    code: str, split: str, entry: str, image: str, label: str, value: float | None
) -> Finding:
    says = "positive" if value else "negative"
    return Finding(code, split, entry, f"{label} is {says} for its image {image}")


def _entries(material: Material, task: TaskName) -> Iterator[_Entry]:
    rows = material.entries.filter(pl.col("task") == task, pl.col("answer").is_not_null())
    columns = ("entry_id", "split", "image_id", "template", "prompt", "answer")
    for *given, answer in rows.select(columns).iter_rows():
        yield (*given, from_json(answer))


def _labels(material: Material) -> dict[str, _Labels]:
    """Per image, label → 1 or 0; ``None`` for uncertain; unknown ones are left out."""
    stated: dict[str, dict[str, float]] = {}
    for image, name, value in material.labels.iter_rows():
        stated.setdefault(image, {})[name] = value
    return {image: _with_denied(labels) for image, labels in stated.items()}


def _with_denied(stated: Mapping[str, float]) -> _Labels:
    """The labels of one image, with those that ``No Finding`` denies."""
    labels: dict[str, float | None] = {k: v if v in (0, 1) else None for k, v in stated.items()}
    if stated.get(_NONE) == 1:
        labels = {**dict.fromkeys(FINDINGS, 0.0), **labels}
    return labels
