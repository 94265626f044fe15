"""Finds entries that a format cannot express, each with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from imaxray.boxes import PLACEHOLDER, BoxConvention, box_of
from imaxray.export.marks import SPECIAL_TOKENS

REASONS: Final = {
    "no-image": "its image is not in the table of images",
    "image-path": "its image's path leads out of the release",
    "image-missing": "its image is not on this machine",
    "image-format": "its image is damaged, or no DICOM, PNG, JPEG, BMP, TIFF or WebP",
    "image-size": "its image has another size than the table of images says",
    "empty-text": "its prompt or target is empty",
    "reserved-text": "its text holds a word by which the format marks images or boxes",
    "special-token": "its text holds a special token of a model family",
    "box-count": "its text has another number of placeholders than of boxes",
    "no-size": "it has boxes, but the size of its image is not known",
    "box-frame": "a box is not x1 < x2 and y1 < y2 within the image",
    "box-crop": "its boxes lie outside the part of the image that the model sees",
    "box-shape": "its image is over 200 times as long as wide, too narrow for pixel boxes",
}
"""Reasons why an entry is left out, in the order in which they are checked."""

_SLACK: Final = 1e-6  # tolerance, as a share of a side, for the rounding of computed corners
_NARROW: Final = 200


def why_left_out(entries: pl.DataFrame, reserved: Sequence[str], *, resized: bool) -> pl.DataFrame:
    """Add a column ``code`` to ``entries``: a key of REASONS, or null if the format can express it.

    Args:
        entries: Entries with schema ENTRIES, with ``width``, ``height`` and ``image_code``, the
            reason why the image cannot be used.
        reserved: Words that have a special meaning for readers of the format.
        resized: Whether boxes are in pixels of a resized image.
    """
    text = pl.concat_str(
        pl.col("prompt").fill_null(""), "target", separator="\n", ignore_nulls=True
    )
    blank = [pl.col(c).fill_null("").str.strip_chars() == "" for c in ("prompt", "target")]
    words = text.str.contains_any(list(reserved)) if reserved else pl.lit(False)
    count = pl.col("boxes").list.len().fill_null(0)
    unsized = pl.col("width").is_null() | pl.col("height").is_null()
    sides = pl.max_horizontal("width", "height"), pl.min_horizontal("width", "height")
    narrow = (count > 0) & (sides[0] > _NARROW * sides[1]) if resized else pl.lit(False)
    return (
        with_bad_boxes(entries)
        .with_columns(
            pl.coalesce(
                pl.col("image_code"),
                _when(blank[0] | blank[1], "empty-text"),
                _when(words, "reserved-text"),
                _when(text.str.contains(SPECIAL_TOKENS), "special-token"),
                _when(text.str.count_matches(PLACEHOLDER, literal=True) != count, "box-count"),
                _when((count > 0) & unsized, "no-size"),
                _when(pl.col("bad"), "box-frame"),
                _when(narrow, "box-shape"),
            ).alias("code")
        )
        .drop("bad", "image_code")
    )


def without_cropped(entries: pl.DataFrame, convention: BoxConvention) -> pl.DataFrame:
    """Set the code ``box-crop`` where a box has no part in the frame of a convention."""
    codes = []
    for row in entries.select("code", "boxes", "width", "height").iter_rows():
        code, boxes, width, height = row
        if code is None and boxes:
            held = all(convention.holds(box_of(box), width, height) for box in boxes)
            code = None if held else "box-crop"
        codes.append(code)
    return entries.with_columns(pl.Series("code", codes, dtype=pl.String))


def with_bad_boxes(frame: pl.DataFrame) -> pl.DataFrame:
    """Add a column ``bad`` to ``frame``: whether one of ``boxes`` is not a box within the image.

    The columns ``width`` and ``height`` are those of the image. A box of an image of unknown size
    is bad.
    """
    each = (
        frame.select("boxes", "width", "height")
        .with_row_index("_row")
        .filter(pl.col("boxes").list.len() > 0)
        .explode("boxes")
    )
    rows = each.filter(~_is_box(pl.col("boxes")))["_row"].unique()
    return frame.with_columns(pl.int_range(pl.len()).is_in(rows.implode()).alias("bad"))


def _is_box(corner: pl.Expr) -> pl.Expr:
    x1, y1, x2, y2 = (corner.list.get(k, null_on_oob=True) for k in range(4))
    right, bottom = pl.col("width"), pl.col("height")
    inside = (
        (x1 >= -right * _SLACK)
        & (y1 >= -bottom * _SLACK)
        & (x2 <= right * (1 + _SLACK))
        & (y2 <= bottom * (1 + _SLACK))
        & (x1 < x2)
        & (y1 < y2)
        & (corner.list.len() == 4)
    )
    return inside.fill_null(False)


def _when(condition: pl.Expr, code: str) -> pl.Expr:
    return pl.when(condition.fill_null(False)).then(pl.lit(code))
