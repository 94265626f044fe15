"""Tests the verdicts of each clinical rule, which are the same for numbers and for columns."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imaxray.clinical import DEFAULT_RULES, PREDICATES, Bounds, Case, ClinicalRules, rule_names

MEASURES = st.one_of(
    st.none(),
    st.sampled_from([0.0, 0.1, 0.45, 0.48, 0.5, 0.52, 0.55, 1.0, 2.0, 3.0]),
    st.floats(0, 3, allow_nan=False),
)
LABELS = st.sampled_from([None, 0.0, 1.0])


@st.composite
def settings(draw):
    """A ``clinical:`` block that moves some thresholds."""
    return {
        rule.name: {"thresholds": {k: draw(st.floats(0, 3)) for k in rule.thresholds}}
        for rule in PREDICATES
        if draw(st.booleans())
    }


@given(block=settings(), pairs=st.lists(st.tuples(MEASURES, LABELS), min_size=1, max_size=20))
def test_numbers_and_columns_get_the_same_verdict(block, pairs):
    rules = ClinicalRules.model_validate(block)
    frame = pl.DataFrame(pairs, schema={"a": pl.Float64, "b": pl.Float64}, orient="row")
    for name in rule_names():
        rule = rules[name]
        columns = frame.select(
            rule.verdict(pl.col("a"), pl.col("b")).alias("verdict"),
            rule.contradicts(pl.col("a"), pl.col("b")).alias("bad"),
        )
        assert columns["verdict"].to_list() == [rule.verdict(a, b) for a, b in pairs]
        assert columns["bad"].to_list() == [rule.contradicts(a, b) for a, b in pairs]


@pytest.mark.parametrize(
    ("name", "first", "second", "verdict"),
    [
        ("ctr-cardiomegaly", 0.44, 1, "contradict"),
        ("ctr-cardiomegaly", 0.45, 1, "silent"),
        ("ctr-cardiomegaly", 0.50, 1, "agree"),
        ("ctr-cardiomegaly", 0.51, 0, "silent"),
        ("ctr-cardiomegaly", 0.55, 0, "silent"),
        ("ctr-cardiomegaly", 0.56, 0, "contradict"),
        ("ctr-cardiomegaly", 0.49, 0, "agree"),
        ("ctr-cardiomegaly", 0.60, None, "silent"),
        ("ctr-cardiomegaly", None, 0, "silent"),
        ("ctr-question", 0.53, 0, "contradict"),
        ("ctr-question", 0.50, 0, "agree"),
        ("ctr-question", 0.51, 0, "silent"),
        ("edema-grade-label", 0, 1, "contradict"),
        ("edema-grade-label", 1, 0, "silent"),
        ("edema-grade-label", 1, 1, "agree"),
        ("edema-grade-label", 2, 0, "contradict"),
        ("edema-grade-label", 0, 0, "agree"),
        ("report-label", 1, 0, "contradict"),
        ("report-label", 0, 0, "agree"),
        ("report-label", 1, None, "silent"),
        ("question-label", 0, 1, "contradict"),
        ("question-region", 0, 1, "contradict"),
        ("question-region", 1, 1, "agree"),
        ("region-label", 1, 0, "contradict"),
        ("region-label", 1, 1, "agree"),
        ("region-label", 1, None, "silent"),
    ],
)
def test_verdicts(name, first, second, verdict):
    assert DEFAULT_RULES[name].verdict(first, second) == verdict


@pytest.mark.parametrize(("iou", "verdict"), [(0.05, "contradict"), (0.1, "agree"), (0.9, "agree")])
def test_a_rule_about_one_fact(iou, verdict):
    rule = DEFAULT_RULES["reader-boxes"]
    assert rule.verdict(iou) == verdict
    assert pl.select(rule.verdict(pl.lit(iou))).item() == verdict


def test_rules_are_complete_and_differ_in_name():
    assert len({rule.name for rule in PREDICATES}) == len(PREDICATES)
    for rule in PREDICATES:
        assert rule.source and rule.contradict and rule.agree
        assert rule.description.endswith(".") and "{" not in rule.description
        assert len(rule.facts) in (1, 2)


def test_no_pair_of_facts_both_agrees_and_contradicts():
    for rule in PREDICATES:
        for first in (0, 0.05, 0.1, 0.44, 0.47, 0.5, 0.51, 0.6, 1, 2, 3):
            for second in (0, 1):
                met = [
                    any(c.holds(first, second) for c in x) for x in (rule.contradict, rule.agree)
                ]
                assert sum(met) <= 1


@pytest.mark.parametrize("given", [{}, {"below": None}])
def test_a_condition_must_say_something(given):
    with pytest.raises(ValidationError, match="give one of below"):
        Bounds.model_validate(given)
    with pytest.raises(ValidationError, match="give one of first, second, values"):
        Case.model_validate({"first": None} if given else {})
