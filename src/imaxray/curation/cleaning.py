"""Cleans report text in named steps, each of which can be switched off, and keeps the raw text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray.schema import REJECTS, conform

Step = Literal[
    "addenda", "lines", "deidentification", "comparisons", "notifications", "enumeration", "spaces"
]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""All steps in the order in which they are applied; the order in a config has no effect."""

_SENTENCE_END: Final = r"([.!?])\s+"
_COMPARING: Final = (
    r"(?i)\b(?:compar(?:ed|ison)|previous(?:ly)?|prior|interval|unchanged|again|since|new(?:ly)?|"
    r"stable|improv(?:ed|ing|ement)|worse(?:ned|ning)?|increas(?:ed|ing)|decreas(?:ed|ing)|"
    r"resol(?:ved|ving|ution)|persist(?:s|ent|ing)?|no longer|remains?)\b"
)
_NOTIFYING: Final = (
    r"(?i)\b(?:discussed|notified|communicated|paged|telephoned?|by phone|e-?mailed|"
    r"wet read|dashboard|attending)\b"
)


class CleaningConfig(BaseModel):
    """Sets which steps are applied to report text.

    - ``addenda`` removes the text after a line of underscores, and paragraphs that start with
      Addendum.
    - ``lines`` joins wrapped lines.
    - ``deidentification`` removes the marks ``___``, ``XXXX`` and ``[** … **]``.
    - ``comparisons`` removes sentences about an earlier image, which a single image cannot show. It
      is off by default, because it also removes findings ("unchanged cardiomegaly").
    - ``notifications`` removes sentences about whom the radiologist informed. It is off by default.
    - ``enumeration`` removes the numbers of a numbered list.
    - ``spaces`` removes repeated spaces and spaces before punctuation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: tuple[Step, ...] = Field(
        default=("addenda", "lines", "deidentification", "enumeration", "spaces"),
        description="Steps that are applied to report text.",
    )


def clean_text(text: pl.Expr, config: CleaningConfig) -> pl.Expr:
    """Apply the steps of ``config`` to ``text``."""
    for step in STEPS:
        if step in config.steps:
            text = _APPLY[step](text)
    return text


def clean_reports(
    annotations: pl.DataFrame, config: CleaningConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clean the text of report annotations; ``raw`` keeps the published text if it changed.

    Args:
        annotations: Annotations of one source (schema SOURCE_ANNOTATIONS).
        config: Steps to apply.

    Returns:
        The annotations, and rejects ``empty-text`` for reports that are empty after cleaning.
    """
    report = pl.col("kind") == "report"
    if not annotations.select(report.any()).item():
        return annotations, conform(annotations.head(0).select("source", "file", "row"), REJECTS)
    reports = annotations.filter(report).with_columns(
        clean_text(pl.col("text"), config).alias("_clean")
    )
    empty = pl.col("_clean").is_null() | (pl.col("_clean") == "")
    changed = pl.col("_clean") != pl.col("text")
    kept = reports.filter(~empty).with_columns(
        pl.when(changed).then(pl.col("text")).otherwise("raw").alias("raw"),
        pl.col("_clean").alias("text"),
    )
    lost = reports.filter(empty).select(
        "source",
        "file",
        "row",
        pl.coalesce("image_id", "study_id").alias("key"),
        pl.lit("empty-text").alias("code"),
        pl.lit("nothing is left of the text after cleaning").alias("message"),
    )
    others = annotations.filter(~report)
    return pl.concat([others, kept.select(annotations.columns)]), conform(lost, REJECTS)


def _addenda(text: pl.Expr) -> pl.Expr:
    cut = text.str.replace(r"(?s)(?:^|\n)[ \t]*_{10,}[ \t]*(?:\n.*)?$", "")
    return cut.str.replace_all(r"(?is)(?:^|\n)[ \t*]*addendum\b.*?(?:\n\s*\n|\z)", "\n")


def _lines(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s*\n\s*", " ")


def _deidentification(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"_{2,}|\bX{4,}\b|(?s)\[\*\*.*?\*\*\]", " ")


def _without(pattern: str) -> Callable[[pl.Expr], pl.Expr]:
    """Make a step that drops the sentences in which ``pattern`` occurs."""

    def apply(text: pl.Expr) -> pl.Expr:
        sentences = text.str.replace_all(_SENTENCE_END, "$1\u0000").str.split("\u0000")
        said = pl.element().str.contains(pattern)
        return sentences.list.eval(pl.element().filter(~said)).list.join(" ")

    return apply


def _enumeration(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"(^|\n|[.!?:]\s)\s*\d{1,2}[.)]\s+", "$1")


def _spaces(text: pl.Expr) -> pl.Expr:
    tight = text.str.replace_all(r"[ \t]{2,}", " ").str.replace_all(r"[ \t]+([.,;:!?])", "$1")
    return tight.str.strip_chars(" \t\r\n,;:")


_APPLY: Final[dict[Step, Callable[[pl.Expr], pl.Expr]]] = {
    "addenda": _addenda,
    "lines": _lines,
    "deidentification": _deidentification,
    "comparisons": _without(_COMPARING),
    "notifications": _without(_NOTIFYING),
    "enumeration": _enumeration,
    "spaces": _spaces,
}
