"""Applies consistency rules to the statements of each image to find contradictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from imaxray.boxes import box_of, iou
from imaxray.clinical import judged
from imaxray.pseudo.selecting.calibrate import CONFIDENCE, Thresholds
from imaxray.pseudo.selecting.correct import alike
from imaxray.pseudo.selecting.rules import ConsistencyCase, ConsistencyRule, Facts
from imaxray.pseudo.selecting.statements import facts_of

_VERDICT: Final[Any] = pl.Enum(("agree", "contradict", "silent"))
VERDICTS: Final = pl.Schema(
    {
        "pseudo_id": pl.String,
        "rule": pl.String,
        "verdict": _VERDICT,
        "other": pl.String,  # pseudo_id or entry_id of the partner; null if there is none
        "other_real": pl.Boolean,  # whether the partner is a real entry
        "name": pl.String,  # label or measure that the verdict is about
        "weaker": pl.Boolean,  # whether this one takes the effect: its partner is not weaker
    }
)
"""Verdicts, one row per candidate, rule and partner; ``silent``: neither agree nor contradict."""


def check_consistency(
    candidates: pl.DataFrame,
    entries: pl.DataFrame,
    images: pl.DataFrame,
    rules: Sequence[ConsistencyRule],
    *,
    thresholds: Thresholds | None = None,
) -> pl.DataFrame:
    """Compare the statements of candidates with each other and with those of real entries.

    Of two candidates, the weaker one is less often right according to calibration; without
    ``thresholds`` it is the less confident one. If both are equally strong, both count as weaker. A
    real entry is stronger than any candidate.

    Args:
        candidates: Candidates (schema PSEUDO).
        entries: Entries of the dataset (schema ENTRIES); its annotations are not used.
        images: Images of the dataset (schema IMAGES).
        rules: Consistency rules.
        thresholds: Result of calibration, which makes confidences of different tasks comparable.

    Returns:
        Schema VERDICTS, sorted by candidate, rule and partner.
    """
    if thresholds is None:
        strengths = candidates.select(CONFIDENCE.alias("_")).to_series()
    else:
        strengths = thresholds.strengths(candidates)
    facts = facts_of(candidates, strengths, entries, images)
    parts = [_verdicts(rule, facts) for rule in rules]
    return pl.concat([pl.DataFrame(schema=VERDICTS), *parts]).sort(
        "pseudo_id", "rule", "other", "name", "verdict", nulls_last=True
    )


def _verdicts(rule: ConsistencyRule, facts: pl.DataFrame) -> pl.DataFrame:
    first = _chosen(facts, rule.first)
    if rule.second is None:
        seen = first.filter(~pl.col("real"))
        with_verdict = _judged(rule, seen)
        return conform_verdicts(
            with_verdict.select(
                pl.col("owner").alias("pseudo_id"), "verdict",
                pl.lit(None, dtype=pl.String).alias("other"),
                pl.lit(None, dtype=pl.Boolean).alias("other_real"),
                "name", pl.lit(True).alias("weaker"),
            ), rule.name,
        )  # fmt: skip
    second = _chosen(facts, rule.second)
    keys = ["image_id", "name"] if rule.about == "label" else ["image_id"]
    pairs = first.join(second, on=keys, suffix="_b").filter(
        (pl.col("owner") != pl.col("owner_b")) & ~(pl.col("real") & pl.col("real_b"))
    )
    if "name_b" not in pairs.columns:
        pairs = pairs.with_columns(pl.col("name").alias("name_b"))
    with_verdict = _judged(rule, pairs)
    # each side keeps its own name: ctr is compared with Cardiomegaly, and masking needs the label
    mine = conform_verdicts(_of_pair(with_verdict, "", "_b"), rule.name)
    theirs = conform_verdicts(_of_pair(with_verdict, "_b", ""), rule.name)
    said = pl.concat([mine, theirs])
    looked = pl.concat([first, second]).filter(~pl.col("real"))["owner"].unique()
    quiet = looked.filter(~looked.is_in(said["pseudo_id"].implode()))
    silent = conform_verdicts(
        pl.DataFrame({"pseudo_id": quiet}, schema={"pseudo_id": pl.String}).with_columns(
            pl.lit("silent").alias("verdict"),
            pl.lit(None, dtype=pl.String).alias("other"),
            pl.lit(None, dtype=pl.Boolean).alias("other_real"),
            pl.lit(None, dtype=pl.String).alias("name"),
            pl.lit(False).alias("weaker"),
        ), rule.name,
    )  # fmt: skip
    return pl.concat([said, silent]).unique(maintain_order=True)


def conform_verdicts(frame: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Add the name of the rule and conform the table to schema VERDICTS."""
    named = frame.with_columns(pl.lit(rule).alias("rule"))
    return named.select(pl.col(name).cast(dtype) for name, dtype in VERDICTS.items())


def _of_pair(pairs: pl.DataFrame, own: str, other: str) -> pl.DataFrame:
    mine = pairs.filter(~pl.col(f"real{own}"))
    return mine.select(
        pl.col(f"owner{own}").alias("pseudo_id"),
        "verdict",
        pl.col(f"owner{other}").alias("other"),
        pl.col(f"real{other}").alias("other_real"),
        pl.col(f"name{own}").alias("name"),
        (pl.col(f"real{other}") | (pl.col(f"strength{own}") <= pl.col(f"strength{other}")))
        .fill_null(True)
        .alias("weaker"),
    )


def _chosen(facts: pl.DataFrame, wanted: Facts) -> pl.DataFrame:
    which = pl.col("kind").is_in(list(wanted.fact))
    if wanted.name is not None:
        which &= pl.col("name") == wanted.name
    if wanted.task is not None:
        which &= pl.col("task").is_in(list(wanted.task))
    return facts.filter(which)


def _judged(rule: ConsistencyRule, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs that meet ``when``, with the column ``verdict``."""
    cases = [*rule.contradict, *rule.agree, *([rule.when] if rule.when else [])]
    if any(case.iou for case in cases):
        columns = pairs.select("boxes", "boxes_b").iter_rows()
        best = [_best_iou(one, other) for one, other in columns]
        pairs = pairs.with_columns(pl.Series("_iou", best, dtype=pl.Float64))
    if any(case.phrases for case in cases):
        columns = pairs.select("phrase", "phrase_b").iter_rows()
        same = [alike(a, b) if a is not None and b is not None else None for a, b in columns]
        pairs = pairs.with_columns(pl.Series("_phrases", same, dtype=pl.Float64))
    if rule.when is not None:
        pairs = pairs.filter(_holds(rule.when).fill_null(False))
    verdict = judged(_any(rule.contradict), _any(rule.agree))
    return pairs.with_columns(verdict.alias("verdict"))


def _any(cases: Sequence[ConsistencyCase]) -> pl.Expr:
    parts = [_holds(case).fill_null(False) for case in cases]
    return pl.any_horizontal(parts) if parts else pl.lit(False)


def _holds(case: ConsistencyCase) -> pl.Expr:
    parts = []
    if case.first is not None or case.second is not None or case.values is not None:
        two = case.second is not None or case.values is not None
        parts.append(case.holds(pl.col("value"), pl.col("value_b") if two else None))
    if case.iou is not None:
        parts.append(case.iou.holds(pl.col("_iou")))
    if case.phrases is not None:
        parts.append(case.phrases.holds(pl.col("_phrases")))
    if case.place is not None:
        parts.append(pl.col("place") == case.place)
    return pl.all_horizontal(parts)


def _best_iou(one: list[list[float]] | None, other: list[list[float]] | None) -> float | None:
    if not one or not other:
        return None
    return max(iou(box_of(a), box_of(b)) for a in one for b in other)
