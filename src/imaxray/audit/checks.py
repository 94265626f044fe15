"""Lists all checks with code, description, function, and the limits of what each can check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from imaxray.audit import answers, boxes, contradictions, images, patients, prompts
from imaxray.audit.audit_input import AuditInput, AuditIssue


def bad_records(audit_input: AuditInput) -> Iterable[AuditIssue]:
    """Find records that could not be read; no other check sees them."""
    return [issue for issue in audit_input.bad if issue.code == "bad-record"]


def marks(audit_input: AuditInput) -> Iterable[AuditIssue]:
    """Find records whose marks of images or boxes are not as many as their images or boxes."""
    return [issue for issue in audit_input.bad if issue.code == "marks"]


@dataclass(frozen=True)
class Check:
    """One check of a dataset.

    Attributes:
        code: Code of the check in reports and on the command line.
        description: Description of the fault, in one line.
        find: Function that yields the faults.
        limits: Function that says why the check cannot check everything; it returns ``None`` if it
            can.
        rule: Name of the clinical rule that the check applies, if any.
    """

    code: str
    description: str
    find: Callable[[AuditInput], Iterable[AuditIssue]]
    limits: Callable[[AuditInput], str | None] | None = None
    rule: str | None = None


CHECKS: Final = (
    Check("bad-record", "a record cannot be read", bad_records),
    Check("marks", "the marks of images or boxes in the text do not fit the record", marks),
    Check("empty-answer", "an answer is empty", answers.empty),
    Check("contradicting-answers", "a question about an image is answered yes and no",
          answers.contradicting),
    Check("entry-image", "an entry's image is unknown or of another patient or split",
          patients.entry_image),
    Check("patient-over-splits", "a patient is in several splits of one source",
          patients.over_splits, patients.limits),
    Check("patient-over-sources", "two sources put a patient in different splits",
          patients.over_sources, patients.limits),
    Check("image-over-splits", "an image is in several splits",
          patients.image_over_splits, patients.split_limits),
    Check("broken-image", "an image is missing, damaged or has a different size than stated",
          images.broken, images.not_here),
    Check("duplicate-image", "two images of a split have the same pixels",
          images.duplicates, images.unread),
    Check("duplicate-over-splits", "images of two splits have the same pixels",
          images.duplicates_over_splits, images.unread),
    Check("near-duplicate", "two images look the same (perceptual hash)",
          images.near_duplicates, images.near_limits),
    Check("box-degenerate", "a box has no area or is invalid", boxes.degenerate),
    Check("box-scale", "all numbers of the boxes are at most 1, but they should be pixels",
          boxes.scale),
    Check("box-outside-frame", "a box extends beyond its image", boxes.outside, boxes.limits),
    Check("ctr-cardiomegaly", "the CTR contradicts the label Cardiomegaly",
          contradictions.ratio, contradictions.limits, "ctr-cardiomegaly"),
    Check("edema-grade", "the edema grade contradicts the label Edema",
          contradictions.grade, contradictions.limits, "edema-grade-label"),
    Check("report-labels", "a report plainly says the opposite of a label",
          contradictions.report, contradictions.limits, "report-label"),
    Check("vqa-labels", "a yes/no answer says the opposite of a label",
          contradictions.vqa, contradictions.limits, "question-label"),
    Check("prompt-target", "the prompt contains the answer word for word", prompts.leaks),
)  # fmt: skip
"""All checks, in the order in which they are reported."""

PIXEL_CODES: Final = ("broken-image", "duplicate-image", "duplicate-over-splits", "near-duplicate")
"""Codes of the checks that decode every image."""
