"""Boxes out of frame, and boxes that are none."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from imaxray.audit.audit_input import AuditInput, AuditIssue

_SLACK = 1e-6  # of the frame's side: rounding of a computed corner is no fault

_Row = tuple[str, str, list[float | None], float | None, float | None]


def degenerate(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """A box is not four finite numbers with x1 < x2 and y1 < y2."""
    for split, name, box, _, _ in _boxes(audit_input):
        if not _is_box(box):
            yield AuditIssue("box-degenerate", split, name, "not x1 < x2 and y1 < y2, four numbers")


def outside(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """A box reaches out of its image."""
    for split, name, box, width, height in _boxes(audit_input):
        if width is None or height is None or not _is_box(box):
            continue
        x1, y1, x2, y2 = (float(corner) for corner in box if corner is not None)
        right, bottom = width * (1 + _SLACK), height * (1 + _SLACK)
        if x1 < -width * _SLACK or y1 < -height * _SLACK or x2 > right or y2 > bottom:
            yield AuditIssue("box-outside-frame", split, name, "reaches out of its image")


def limits(audit_input: AuditInput) -> str | None:
    """How many boxes have no frame to be compared with."""
    unknown = sum(width is None for _, _, _, width, _ in _boxes(audit_input))
    return f"{unknown:,} boxes belong to an image of unknown size" if unknown else None


def _is_box(box: list[float | None]) -> bool:
    numbers = [corner for corner in box if corner is not None and abs(corner) < float("inf")]
    if len(box) != 4 or len(numbers) != 4:
        return False
    x1, y1, x2, y2 = numbers
    return x1 < x2 and y1 < y2


def _boxes(audit_input: AuditInput) -> Iterator[_Row]:
    """Split, id, box, and the frame's width and height in the units of the box."""
    lists = audit_input.boxes.filter(pl.col("boxes").list.len() > 0)
    sizes = audit_input.frame_sizes
    for split, name, image, boxes, unit in lists.iter_rows():
        width, height = (1.0, 1.0) if unit else sizes.get(image, (None, None))
        for box in boxes:
            yield split, name, box or [], width, height
