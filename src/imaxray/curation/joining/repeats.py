"""Finds facts that are stated twice with different values: questions, ratios, grades and labels.

No clinical knowledge is needed for these rules, so only a build applies them: an image cannot have
two answers to one question, and a release of one origin cannot give two values of one thing.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.clinical import Bounds, Case, Cases, ClinicalRule

REPEATED_QUESTION: Final = ClinicalRule(
    name="repeated-question",
    facts=("answer", "answer"),
    sentence="The same question about an image has two different answers, e.g. yes and no.",
    source="Convention: answers are compared without case, order and final full stop",
    thresholds={},
    cases=lambda _: Cases((), ()),
)
"""Rule for questions; it compares answers within a release and across releases."""

REPEATED_VALUE: Final = ClinicalRule(
    name="repeated-value",
    facts=("difference of the values",),
    sentence="A release gives a label as present and absent, two grades, or two ratios that differ "
    "by more than {ratio}, for one image and of one origin.",
    source="Convention: the margin of a ratio is that of the error of a measurement",
    thresholds={"ratio": 0.02},
    cases=lambda t: Cases((Case(first=Bounds(above=t["ratio"])),), ()),
)
"""Rule for ratios, grades and labels; an uncertain label contradicts nothing."""


def question_pairs(facts: pl.DataFrame, _rule: ClinicalRule) -> pl.DataFrame:
    """Return the pairs of answers to the same question about an image.

    Args:
        facts: Schema ANNOTATIONS, ``_image`` (position of the image) and ``_fact`` (number).

    Returns:
        ``_a``, ``_b``: the numbers of the facts; ``bad``: whether their answers differ.
    """
    asked = facts.filter((pl.col("kind") == "qa") & pl.col("text").is_not_null()).select(
        "_image",
        "_fact",
        _plain(pl.col("text")).alias("question"),
        pl.col("answers")
        .fill_null([])
        .list.eval(_plain(pl.element()))
        .list.unique()
        .list.sort()
        .list.join("\n")
        .alias("said"),
    )
    pairs = _pairs(asked, ["_image", "question"])
    return pairs.select("_a", "_b", (pl.col("said") != pl.col("said_b")).alias("bad"))


def value_pairs(facts: pl.DataFrame, rule: ClinicalRule) -> pl.DataFrame:
    """Return the pairs of values that one release gives for one thing, with one origin.

    Statements that name a reader are settled elsewhere (:mod:`imaxray.curation.joining.readers`).

    Args:
        facts: Schema ANNOTATIONS, ``_image`` (position of the image) and ``_fact`` (number).
        rule: Rule with the threshold for ratios.

    Returns:
        ``_a``, ``_b``: the numbers of the facts; ``bad``: whether their values differ.
    """
    certain = (pl.col("kind") != "label") | pl.col("value").is_in([0.0, 1.0])
    stated = facts.filter(
        pl.col("kind").is_in(["measurement", "grade", "label"])
        & certain
        & pl.col("reader").is_null()
        & pl.col("value").is_not_null()
    ).select("_image", "_fact", "kind", "name", "source", "origin", "value")
    pairs = _pairs(stated, ["_image", "kind", "name", "source", "origin"])
    far = (pl.col("value") - pl.col("value_b")).abs()
    differ = pl.when(pl.col("kind") == "measurement").then(rule.contradicts(far))
    return pairs.select("_a", "_b", differ.otherwise(far > 0).alias("bad"))


def _plain(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars(" .?!")


def _pairs(facts: pl.DataFrame, thing: list[str]) -> pl.DataFrame:
    """Return every pair of rows of one thing; few rows share a thing, so the join stays small."""
    shared = facts.filter(pl.struct(thing).is_duplicated()).rename({"_fact": "_a"})
    both = shared.join(shared.rename({"_a": "_b"}), on=thing, suffix="_b", maintain_order="left")
    return both.filter(pl.col("_a") < pl.col("_b"))
