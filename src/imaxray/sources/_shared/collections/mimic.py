"""Converts the ids of the MIMIC-CXR releases from every known form to one form."""

from __future__ import annotations

from typing import Final

import polars as pl

COLLECTION: Final = "mimic-cxr"
"""All MIMIC-CXR releases are about the same images and therefore share this collection."""

DICOM: Final = r"([0-9a-f]{8}(?:-[0-9a-f]{8}){4})"
"""A DICOM id without prefix has 40 hexadecimal digits in five groups, 44 characters in all."""


def image_id(column: str) -> pl.Expr:
    """Return ``mimic-cxr/<dicom>`` from an id, ``<dicom>.dcm`` or a path; null if none is found."""
    return _prefixed(pl.col(column).str.to_lowercase().str.extract(DICOM, 1))


def study_id(column: str) -> pl.Expr:
    """Return ``mimic-cxr/5…`` from an integer, digits, ``s5…``, ``5….0`` or a path, or null."""
    return _prefixed(_number(column, "s", "5"))


def patient_id(column: str) -> pl.Expr:
    """Return ``mimic-cxr/1…`` from an integer, digits, ``p1…``, ``1….0`` or a path, or null."""
    return _prefixed(_number(column, "p", "1"))


def _number(column: str, letter: str, digit: str) -> pl.Expr:
    text = pl.col(column).cast(pl.String)
    # An id stands at the start or after a slash; its eight digits distinguish it from the group
    # folder p10 of a path.
    return text.str.extract(rf"(?:^|/){letter}?({digit}\d{{7}})(?:\.0)?(?:\.txt)?(?:$|/)", 1)


def _prefixed(bare: pl.Expr) -> pl.Expr:
    return pl.when(bare.is_not_null()).then(pl.lit(f"{COLLECTION}/") + bare)
