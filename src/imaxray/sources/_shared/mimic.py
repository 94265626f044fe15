"""Ids of the MIMIC-CXR family, in every form met, to one."""

from __future__ import annotations

from typing import Final

import polars as pl

COLLECTION: Final = "mimic-cxr"
"""All seven releases are about the same images, and so share the collection."""

DICOM: Final = r"([0-9a-f]{8}(?:-[0-9a-f]{8}){4})"
"""A bare dicom id: 40 hex digits in five groups, 44 characters."""


def image_id(column: str) -> pl.Expr:
    """``mimic-cxr/<dicom>`` from a bare id, ``<dicom>.dcm`` or a path; null if there is none."""
    return _prefixed(pl.col(column).str.to_lowercase().str.extract(DICOM, 1))


def study_id(column: str) -> pl.Expr:
    """``mimic-cxr/5…`` from an int, digits, ``s5…``, ``5….0`` or a path; null if there is none."""
    return _prefixed(_number(column, "s", "5"))


def patient_id(column: str) -> pl.Expr:
    """``mimic-cxr/1…`` from an int, digits, ``p1…``, ``1….0`` or a path; null if there is none."""
    return _prefixed(_number(column, "p", "1"))


def _number(column: str, letter: str, digit: str) -> pl.Expr:
    text = pl.col(column).cast(pl.String)
    # bare or lettered id first; inside a path the letter tells it from the group folder p10
    return text.str.extract(rf"(?:^|/){letter}?({digit}\d{{7}})(?:\.0)?(?:\.txt)?(?:$|/)", 1)


def _prefixed(bare: pl.Expr) -> pl.Expr:
    return pl.when(bare.is_not_null()).then(pl.lit(f"{COLLECTION}/") + bare)
