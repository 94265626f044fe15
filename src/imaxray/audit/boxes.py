"""Finds invalid boxes and boxes that extend beyond their image."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from imaxray.audit.audit_input import AuditInput, AuditIssue

_SLACK = 1e-6  # share of the image side, because rounding of a computed corner is not a fault

_Row = tuple[str, str, list[float | None], float | None, float | None]


def degenerate(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find boxes that are not four finite numbers with x1 < x2 and y1 < y2."""
    for split, name, box, _, _ in _boxes(audit_input):
        if not _is_box(box):
            yield AuditIssue(
                "box-degenerate", split, name, "not four numbers with x1 < x2 and y1 < y2"
            )


def scale(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find boxes in pixels whose numbers are all at most 1, as in the unit square."""
    for split, name, _, boxes, unit in audit_input.boxes.iter_rows():
        numbers = [corner for box in boxes or [] for corner in box or [] if corner is not None]
        if numbers and not unit and max(numbers) <= 1:
            yield AuditIssue(
                "box-scale", split, name, "numbers of the unit square where pixels should be"
            )


def outside(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find boxes that extend beyond their image."""
    for split, name, box, width, height in _boxes(audit_input):
        if width is None or height is None or not _is_box(box):
            continue
        x1, y1, x2, y2 = (float(corner) for corner in box if corner is not None)
        right, bottom = width * (1 + _SLACK), height * (1 + _SLACK)
        if x1 < -width * _SLACK or y1 < -height * _SLACK or x2 > right or y2 > bottom:
            yield AuditIssue("box-outside-frame", split, name, "extends beyond its image")


def limits(audit_input: AuditInput) -> str | None:
    """Say how many boxes cannot be compared with the size of their image."""
    unknown = sum(width is None for _, _, _, width, _ in _boxes(audit_input))
    return f"{unknown:,} boxes belong to an image of unknown size" if unknown else None


def _is_box(box: list[float | None]) -> bool:
    numbers = [corner for corner in box if corner is not None and abs(corner) < float("inf")]
    if len(box) != 4 or len(numbers) != 4:
        return False
    x1, y1, x2, y2 = numbers
    return x1 < x2 and y1 < y2


def _boxes(audit_input: AuditInput) -> Iterator[_Row]:
    """Yield split, id, box, and the width and height of the image in the units of the box."""
    lists = audit_input.boxes.filter(pl.col("boxes").list.len() > 0)
    sizes = audit_input.frame_sizes
    for split, name, image, boxes, unit in lists.iter_rows():
        width, height = (1.0, 1.0) if unit else sizes.get(image, (None, None))
        for box in boxes:
            yield split, name, box or [], width, height
