"""Reads views, ages and sexes in the spellings that releases use; none is dropped in silence."""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.sources._checks.frames import reject_rows

OLDEST: Final = 120  # years

VIEWS: Final = {
    "PA": "PA", "POSTEROANTERIOR": "PA", "POSTEROANTERIOR PA": "PA",
    "AP": "AP", "ANTEROPOSTERIOR": "AP", "AP ERECT": "AP", "AP UPRIGHT": "AP", "AP SUPINE": "AP",
    "AP HORIZONTAL": "AP", "AP PORTABLE": "AP", "PORTABLE AP": "AP",
    "AP AXIAL": "AP AXIAL", "PA LLD": "PA LLD", "PA RLD": "PA RLD", "AP LLD": "AP LLD",
    "AP RLD": "AP RLD",
    "FRONTAL": "FRONTAL",
    "L": "LATERAL", "LAT": "LATERAL", "LATERAL": "LATERAL",
    "LL": "LL", "LEFT LATERAL": "LL", "RL": "RL", "RIGHT LATERAL": "RL",
    "LAO": "LAO", "RAO": "RAO", "LPO": "LPO", "RPO": "RPO", "OBLIQUE": "OBLIQUE",
    "XTABLE LATERAL": "XTABLE LATERAL", "LLO": "LLO", "LMO": "LMO",
    "SWIMMERS": "SWIMMERS", "LORDOTIC": "LORDOTIC", "COSTAL": "COSTAL", "OBLICUA": "OBLIQUE",
    "LLD": "LLD", "RLD": "RLD",
    "EXCLUDE": None, "UNK": None, "UNKNOWN": None, "GENERIC": None, "GENERICA": None,
}  # fmt: skip
"""Maps a view as a release writes it, in upper case with single blanks, to ours; None: unknown."""

_YEARS_PER: Final = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_AGE: Final = r"^([0-9]{1,5})(?:\.([0-9]*))?\s*([YMWD]?)(?:EARS?|ONTHS?|EEKS?|AYS?)?$"
SEXES: Final = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F"}
_NO_SEX: Final = ("O", "OTHER", "U", "UNKNOWN")  # DICOM's O; stated, but none of ours
_ODD_AGE: Final = f"the age must be 0 to {OLDEST} years, as 58, 058Y, 013M, 006W or 030D"
_BLANKS: Final = ("NA", "N/A", "NAN", "NONE", "NULL")


def _plain(column: str) -> pl.Expr:
    text = pl.col(column).str.to_uppercase().str.replace_all(r"[\s_-]+", " ").str.strip_chars()
    return pl.when(~text.is_in(["", *_BLANKS])).then(text)


def view(column: str) -> pl.Expr:
    """Return the view in our spelling; null if it is blank, unknown or not understood."""
    return _plain(column).replace_strict(VIEWS, default=None, return_dtype=pl.String)


def age(column: str) -> pl.Expr:
    """Return the age in full years (``58``, ``058Y``, ``013M``, ``6W``, ``30D``), or null.

    A number without a letter counts years. Null stands for a blank cell, and for an age that is not
    understood or greater than 120 years (:func:`odd_persons` finds those).

    Example:
        >>> frame = pl.DataFrame({"age": ["058Y", "013M", "6W", "41.0", "411", "old"]})
        >>> frame.select(age("age")).to_series().to_list()
        [58, 1, 0, 41, None, None]
    """
    text = pl.col(column).str.to_uppercase().str.strip_chars()
    number = text.str.extract(_AGE, 1).cast(pl.Float64)
    unit = text.str.extract(_AGE, 3).replace_strict(
        _YEARS_PER, default=1.0, return_dtype=pl.Float64
    )
    years = (number * unit + 1e-9).floor()
    return pl.when(years <= OLDEST).then(years).cast(pl.Int16).alias(column)


def sex(column: str) -> pl.Expr:
    """Return M or F; null if it is blank, another sex, or not understood."""
    return _plain(column).replace_strict(SEXES, default=None, return_dtype=pl.String)


def is_odd_view(column: str) -> pl.Expr:
    """Return whether a view is stated but is not understood."""
    return (_plain(column).is_not_null() & ~_plain(column).is_in(list(VIEWS))).fill_null(False)


def is_odd_age(column: str) -> pl.Expr:
    """Return whether an age is stated but is not understood, or is greater than 120 years."""
    return _plain(column).is_not_null() & age(column).is_null()


def is_odd_sex(column: str) -> pl.Expr:
    """Return whether a sex is stated but is not understood."""
    known = _plain(column).is_in([*SEXES, *_NO_SEX])
    return (_plain(column).is_not_null() & ~known).fill_null(False)


def odd_persons(
    rows: pl.DataFrame, *, source: str, file: str, key: str, age: str
) -> list[pl.DataFrame]:
    """Return rejects for the ages that are stated but not understood; the rows are kept.

    Args:
        rows: Rows of a table that become images, with the column ``row``.
        source: Name of the source.
        file: Path of the table in the release.
        key: Column that identifies a row.
        age: Column of the age; it may be missing.
    """
    if age not in rows.columns:
        return []
    odd = rows.filter(is_odd_age(age)).with_columns(
        pl.lit(source).alias("source"), pl.lit(file).alias("file")
    )
    return [reject_rows(odd, pl.col(key), "unknown-age", _ODD_AGE)] if odd.height else []
