"""Finds contradictions between the annotations of one image by named rules.

Only a catalog that is joined per image shows them, because each release alone is consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray.clinical import (
    DEFAULT_RULES,
    MENTIONS,
    Bounds,
    Case,
    Cases,
    ClinicalRule,
    ClinicalRules,
    Severity,
    confirmed,
    suspected,
)
from imaxray.curation.joining.repeats import (
    REPEATED_QUESTION,
    REPEATED_VALUE,
    question_pairs,
    value_pairs,
)
from imaxray.schema import CONFLICTS, DISPUTED, FINDINGS, REJECTS, conform

ConflictEffect = Literal["drop", "downgrade", "keep"]

Stage = Literal["repeats", "readers", "facts"]
"""When a rule is applied: before only the strongest of several values stays (``repeats``), before
the statements of several readers become one (``readers``), or after both (``facts``)."""


class ConflictRuleConfig(BaseModel):
    """Sets threshold and effect of one rule in a build."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    threshold: float | None = Field(
        default=None,
        description="Threshold of the rule in this build only; default: the threshold of the "
        "clinical rule, which audit and filter use too (docs/clinical-rules.md).",
    )
    effect: ConflictEffect = "downgrade"


class ConflictsConfig(BaseModel):
    """Sets which rules are applied, and what a contradiction does to the weaker fact.

    The weaker of two facts is the one of the weaker origin (from strong to weak: human, silver,
    pseudo); if the origins are equal, both facts count as weaker. ``drop`` makes the weaker fact a
    reject, ``downgrade`` marks its quality as ``disputed`` (``entries.disputed`` decides whether
    such facts become entries), and ``keep`` only counts the contradiction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rules: Mapping[str, ConflictRuleConfig] = Field(
        default_factory=lambda: {
            "ctr-cardiomegaly": ConflictRuleConfig(),
            "edema-grade-label": ConflictRuleConfig(),
            "region-label": ConflictRuleConfig(),
            "report-label": ConflictRuleConfig(effect="keep"),
            "reader-boxes": ConflictRuleConfig(effect="keep"),
            "repeated-question": ConflictRuleConfig(),
            "repeated-value": ConflictRuleConfig(),
        }
    )

    @model_validator(mode="after")
    def _known(self) -> ConflictsConfig:
        unknown = sorted(set(self.rules) - set(CONFLICT_RULES))
        if unknown:
            raise ValueError(
                f"unknown rule {', '.join(unknown)}; known are {', '.join(CONFLICT_RULES)}"
            )
        return self


@dataclass(frozen=True)
class ConflictRule:
    """Says how a catalog is searched for contradictions of the clinical rule of the same name.

    Attributes:
        pairs: function that returns the pairs of facts that the rule compares: columns ``_a`` and
            ``_b`` (numbers of the facts) and ``bad`` (whether they contradict each other).
        with_threshold: function that returns the clinical rule with another threshold, the one
            that the configuration of a build names.
        stage: when the rule is applied.
        own: the rule itself if only a build knows it; ``None`` for a clinical rule of that name.
    """

    pairs: Callable[[pl.DataFrame, ClinicalRule], pl.DataFrame]
    with_threshold: Callable[[ClinicalRule, float], ClinicalRule]
    stage: Stage = "facts"
    own: ClinicalRule | None = None


def find_conflicts(
    facts: pl.DataFrame,
    config: ConflictsConfig,
    *,
    stage: Stage,
    clinical: ClinicalRules = DEFAULT_RULES,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Find contradictions and apply the effects of the rules.

    Args:
        facts: schema ANNOTATIONS, and ``_image``, the position of the image.
        config: rules that are applied, and the effect of each.
        stage: applies only the rules of this stage.
        clinical: clinical rules; the threshold of a rule is used if ``config`` names no other, and
            a severity that the user chose changes the effect.

    Returns:
        The facts after the effects; the rejects (code ``conflict``); the contradictions (schema
        CONFLICTS); and the number of pairs that each rule compared.
    """
    numbered = facts.with_row_index("_fact")
    found: list[pl.DataFrame] = []
    compared: dict[str, int] = {}
    for name, choice in config.rules.items():
        rule = CONFLICT_RULES[name]
        if rule.stage != stage:
            continue
        effect = _effect(choice.effect, clinical.chosen_severity(name))
        if effect is None:
            continue
        clinical_rule = rule.own or clinical[name]
        if choice.threshold is not None:
            clinical_rule = rule.with_threshold(clinical_rule, choice.threshold)
        pairs = rule.pairs(numbered, clinical_rule)
        compared[name] = pairs.height
        bad = pairs.filter("bad").select("_a", "_b")
        found.append(bad.with_columns(pl.lit(name).alias("rule"), pl.lit(effect).alias("effect")))
    nothing = conform(facts.head(0).select("source", "file", "row"), REJECTS)
    if not sum(frame.height for frame in found):
        return facts, nothing, pl.DataFrame(schema=CONFLICTS), compared
    pairs = pl.concat(found)
    conflicts = _described(pairs, numbered)
    kept, rejects = _apply(pairs, numbered)
    return kept.select(facts.columns), rejects, conflicts, compared


def _effect(configured: ConflictEffect, chosen: Severity | None) -> ConflictEffect | None:
    """Return the effect of a rule, or None if the user chose to ignore the rule.

    A rule that the user made a warning only counts (``keep``); a rule that the user made an error
    at least downgrades.
    """
    if chosen == "ignore":
        return None
    if chosen == "warning":
        return "keep"
    return "downgrade" if chosen == "error" and configured == "keep" else configured


def _described(pairs: pl.DataFrame, numbered: pl.DataFrame) -> pl.DataFrame:
    columns = ["source", "file", "row", "name", "value"]
    first, second = numbered[pairs["_a"]], numbered[pairs["_b"]].select(columns)
    return conform(
        pl.concat(
            [
                pairs.select("rule", "effect"),
                first.select("image_id", *columns),
                second.rename({name: f"other_{name}" for name in columns}),
            ],
            how="horizontal",
        ),
        CONFLICTS,
    )


def _apply(pairs: pl.DataFrame, numbered: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    strength = numbered["origin"].to_physical()
    marked = pairs.with_columns(
        strength.gather(pairs["_a"]).alias("a"), strength.gather(pairs["_b"]).alias("b")
    )
    weaker = pl.concat(
        [
            marked.filter(pl.col("a") >= pl.col("b")).select("effect", "rule", _fact="_a"),
            marked.filter(pl.col("b") >= pl.col("a")).select("effect", "rule", _fact="_b"),
        ]
    )
    dropped = weaker.filter(pl.col("effect") == "drop").unique("_fact", maintain_order=True)
    lowered = weaker.filter(pl.col("effect") == "downgrade").select("_fact").unique()
    rejects = (
        numbered.join(dropped.select("_fact", "rule"), on="_fact", how="inner")
        .sort("_fact")
        .select(
            "source", "file", "row", pl.col("image_id").alias("key"),
            pl.lit("conflict").alias("code"),
            pl.format("a stronger or equal fact contradicts it: {}", "rule").alias("message"),
        )
    )  # fmt: skip
    quality = pl.col("quality").cast(pl.String).fill_null("-")
    kept = numbered.filter(~pl.col("_fact").is_in(dropped["_fact"].implode())).with_columns(
        pl.when(pl.col("_fact").is_in(lowered["_fact"].implode()))
        .then(quality.str.strip_suffix(DISPUTED) + DISPUTED)
        .otherwise(pl.col("quality").cast(pl.String))
        .cast(numbered.schema["quality"])
        .alias("quality")
    )
    return kept, conform(rejects, REJECTS)


def _of(facts: pl.DataFrame, which: pl.Expr, number: str, *columns: str) -> pl.DataFrame:
    return facts.filter(which).select("_image", pl.col("_fact").alias(number), *columns)


def _label(name: str) -> pl.Expr:
    return (
        (pl.col("kind") == "label") & (pl.col("name") == name) & pl.col("value").is_in([0.0, 1.0])
    )


def _judged(rule: ClinicalRule, pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.with_columns(rule.contradicts(pl.col("value"), pl.col("label")).alias("bad"))


def _ctr_cardiomegaly(facts: pl.DataFrame, rule: ClinicalRule) -> pl.DataFrame:
    ctr = (pl.col("kind") == "measurement") & (pl.col("name") == "ctr")
    left = _of(facts, ctr, "_a", "value")
    right = _of(facts, _label("Cardiomegaly"), "_b", "value").rename({"value": "label"})
    return _judged(rule, left.join(right, on="_image"))


def _edema_grade_label(facts: pl.DataFrame, rule: ClinicalRule) -> pl.DataFrame:
    grade = (pl.col("kind") == "grade") & (pl.col("name") == "edema")
    left = _of(facts, grade, "_a", "value")
    right = _of(facts, _label("Edema"), "_b", "value").rename({"value": "label"})
    return _judged(rule, left.join(right, on="_image"))


def _region_label(facts: pl.DataFrame, rule: ClinicalRule) -> pl.DataFrame:
    region = (
        (pl.col("kind") == "region") & (pl.col("origin") == "human")
        & pl.col("name").is_in(FINDINGS) & (pl.col("name") != "No Finding")
    )  # fmt: skip
    label = (pl.col("kind") == "label") & pl.col("value").is_in([0.0, 1.0])
    left = _of(facts, region, "_a", "name").with_columns(pl.lit(1.0).alias("value"))
    right = _of(facts, label, "_b", "name", "value").rename({"value": "label"})
    return _judged(rule, left.join(right, on=["_image", "name"]))


def _report_label(facts: pl.DataFrame, rule: ClinicalRule) -> pl.DataFrame:
    label = (
        (pl.col("kind") == "label") & pl.col("name").is_in(list(MENTIONS))
        & pl.col("value").is_in([0.0, 1.0])
    )  # fmt: skip
    labels = _of(facts, label, "_a", "name", "value")
    report = (pl.col("kind") == "report") & pl.col("text").is_not_null()
    reports = _of(facts, report, "_b", "text")
    parts = []
    for name in MENTIONS:
        both = labels.filter(pl.col("name") == name).join(reports, on="_image")
        bad = suspected(pl.col("text"), pl.col("value"), name)
        parts.append(both.select("_a", "_b", "name", "value", "text", bad.alias("bad")))
    pairs = pl.concat(parts)
    # The column expressions are fast but only find suspects; the exact rule then reads the few
    # reports that are left.
    suspects = pairs.filter("bad")
    read = suspects.select("_a", "_b").with_columns(confirmed(rule, suspects))
    return pl.concat([pairs.filter(~pl.col("bad")).select("_a", "_b", "bad"), read])


def _reader_boxes(facts: pl.DataFrame, rule: ClinicalRule) -> pl.DataFrame:
    """Compare each box of a reader with the box of another reader that overlaps it most.

    Only boxes with the same name on the same image are compared.
    """
    read = (
        pl.col("reader").is_not_null() & (pl.col("kind") == "region")
        & (pl.col("boxes").list.len() == 1)
    )  # fmt: skip
    corner = pl.col("boxes").list.first().list
    boxes = facts.filter(read).select(
        "_image", "name", "_fact", "reader", *(corner.get(k).alias(f"c{k}") for k in range(4))
    )
    both = boxes.join(boxes, on=["_image", "name"], suffix="_b").filter(
        pl.col("reader").cast(pl.String) != pl.col("reader_b").cast(pl.String)
    )
    wide = pl.min_horizontal("c2", "c2_b") - pl.max_horizontal("c0", "c0_b")
    high = pl.min_horizontal("c3", "c3_b") - pl.max_horizontal("c1", "c1_b")
    shared = wide.clip(lower_bound=0) * high.clip(lower_bound=0)
    area = (pl.col("c2") - pl.col("c0")) * (pl.col("c3") - pl.col("c1"))
    other = (pl.col("c2_b") - pl.col("c0_b")) * (pl.col("c3_b") - pl.col("c1_b"))
    nearest = (
        both.with_columns((shared / (area + other - shared)).alias("iou"))
        .sort("_fact", "reader_b", "iou", descending=[False, False, True])
        .unique(["_fact", "reader_b"], keep="first", maintain_order=True)
    )
    return nearest.select(
        pl.col("_fact").alias("_a"), pl.col("_fact_b").alias("_b"),
        rule.contradicts(pl.col("iou")).alias("bad"),
    )  # fmt: skip


def _sets(threshold: str) -> Callable[[ClinicalRule, float], ClinicalRule]:
    def with_threshold(rule: ClinicalRule, value: float) -> ClinicalRule:
        return replace(rule, thresholds={**rule.thresholds, threshold: value})

    return with_threshold


def _denies_below(rule: ClinicalRule, value: float) -> ClinicalRule:
    """Return a rule under which a label with a value below ``value`` contradicts a box."""
    return replace(rule, cases=lambda _: Cases((Case(second=Bounds(below=value)),), ()))


def _without_threshold(rule: ClinicalRule, _value: float) -> ClinicalRule:
    return rule


CONFLICT_RULES: Final[dict[str, ConflictRule]] = {
    "ctr-cardiomegaly": ConflictRule(_ctr_cardiomegaly, _sets("margin")),
    "edema-grade-label": ConflictRule(_edema_grade_label, _sets("grade")),
    "region-label": ConflictRule(_region_label, _denies_below),
    "report-label": ConflictRule(_report_label, _without_threshold),
    "reader-boxes": ConflictRule(_reader_boxes, _sets("iou"), stage="readers"),
    "repeated-question": ConflictRule(
        question_pairs, _without_threshold, stage="repeats", own=REPEATED_QUESTION
    ),
    "repeated-value": ConflictRule(
        value_pairs, _sets("ratio"), stage="repeats", own=REPEATED_VALUE
    ),
}
"""Maps the name of a rule to the way in which a build applies it."""
