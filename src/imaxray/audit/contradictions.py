"""Finds gold answers that contradict the labels of their image.

Each task says what its answers certainly state (``Task.certain_statements``), so the answers of a
further task are compared too. The clinical rules (:mod:`imaxray.clinical`) define a contradiction,
as in a build. A label counts as negative if an annotation says so, or if ``No Finding`` is
positive, no abnormality is uncertain and no annotation states the label itself. Uncertain and
unknown labels contradict nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.schema import FINDINGS

_NONE: Final = "No Finding"
_NOT_AN_ABNORMALITY: Final = (_NONE, "Support Devices")

_Labels = Mapping[str, float | None]


def ratio(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find cardiothoracic ratios that contradict the label Cardiomegaly."""
    yield from _found(
        audit_input, "ctr-cardiomegaly", "ctr-cardiomegaly", ("measurement", "ctr"), "Cardiomegaly"
    )


def grade(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find edema grades that contradict the label Edema."""
    yield from _found(audit_input, "edema-grade", "edema-grade-label", ("grade", "edema"), "Edema")


def report(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find reports that plainly affirm what a label denies, or deny what it affirms."""
    yield from _found(audit_input, "report-labels", "report-label", ("said", None), None)


def vqa(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find yes/no answers to a question about a finding that contradict its label."""
    yield from _found(audit_input, "vqa-labels", "question-label", ("asked", None), None)


def limits(audit_input: AuditInput) -> str | None:
    """Say that no contradiction can be found if no label is known."""
    return "no label of any image is known" if audit_input.labels.is_empty() else None


def _found(
    audit_input: AuditInput,
    code: str,
    rule_name: str,
    about: tuple[str, str | None],
    label: str | None,
) -> Iterator[AuditIssue]:
    """Find the statements that contradict a label, in the entries of every task.

    Args:
        audit_input: Dataset.
        code: Code of the check.
        rule_name: Name of the clinical rule that compares statement and label.
        about: Kind of the statements and their name; ``None`` for statements of any name.
        label: Label that the statements are compared with; ``None`` for the label of their name.
    """
    labels, rule = _labels(audit_input), audit_input.clinical[rule_name]
    kind, name = about
    for entry, split, image, statements in audit_input.statements:
        known = labels.get(image)
        if known is None:
            continue
        for said in statements:
            if said.kind != kind or said.name is None or name not in (None, said.name):
                continue
            compared = label or said.name
            value = known.get(compared)
            if rule.contradicts(said.value, value):
                says = "positive" if value else "negative"
                message = f"{compared} is {says} for its image {image}"
                yield AuditIssue(code, split, entry, message)


def _labels(audit_input: AuditInput) -> dict[str, _Labels]:
    """Return, per image, label → 1, 0 or ``None`` if uncertain; unknown labels are left out."""
    stated: dict[str, dict[str, float]] = {}
    for image, name, value in audit_input.labels.iter_rows():
        stated.setdefault(image, {})[name] = value
    return {image: _with_denied(labels) for image, labels in stated.items()}


def _with_denied(stated: Mapping[str, float]) -> _Labels:
    """Return the labels of one image, including those that ``No Finding`` denies."""
    labels: dict[str, float | None] = {k: v if v in (0, 1) else None for k, v in stated.items()}
    doubtful = any(
        value == -1 and name not in _NOT_AN_ABNORMALITY for name, value in stated.items()
    )
    if stated.get(_NONE) == 1 and not doubtful:
        labels = {**dict.fromkeys(FINDINGS, 0.0), **labels}
    return labels
