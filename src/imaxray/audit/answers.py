"""Finds empty answers, and questions about one image that are answered yes and no."""

from __future__ import annotations

from collections.abc import Iterator

from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.metrics import normalise
from imaxray.tasks._shared.reading.verdicts import is_yes_no, verdict


def empty(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find entries whose target has no text."""
    for entry, split, target in audit_input.entries.select(
        "entry_id", "split", "target"
    ).iter_rows():
        if not (target or "").strip():
            yield AuditIssue("empty-answer", split, entry, "its answer is empty")


def contradicting(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find yes/no questions that have both answers for one image, whatever their task is called."""
    first: dict[tuple[str, str, str], tuple[str, str]] = {}
    columns = ("entry_id", "split", "image_id", "prompt", "target")
    for entry, split, image, prompt, target in audit_input.entries.select(columns).iter_rows():
        if not is_yes_no(prompt or ""):
            continue
        said = verdict(target or "", prompt)
        if said is None:
            continue
        context = audit_input.contexts.get(entry, "")
        known, earlier = first.setdefault((image, normalise(prompt), context), (said, entry))
        if known != said:
            message = f"the same question about {image} has the answer {known} in {earlier}"
            yield AuditIssue("contradicting-answers", split, entry, message)
