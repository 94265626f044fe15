"""Tests which rules and readings are used, by what was measured and by what the user says."""

import polars as pl
import pytest

from imaxray.derive import About, DeriveConfig, Fact, Habits, Known, derive_tables
from imaxray.derive.applying.engine import Check
from imaxray.derive.applying.measure import (
    Tally,
    interval,
    measured_rules,
    proven,
    switched_off,
)
from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.derive.rules.chosen import chosen_rules
from imaxray.errors import ImaxrayError
from imaxray.schema import mark_derived

RULES = {rule.name: rule for rule in BUILT_IN}


def tallied(*counts):
    tally = Tally()
    for rule, reading, patient, right in counts:
        tally.add(Check(rule, (reading,) if reading else (), right), patient)
    return tally


def test_a_reading_without_comparisons_can_be_switched_off(dmax):
    config = DeriveConfig(without=("region-where/Lung Lesion", "label-question/Pneumothorax"))
    made = derive_tables(dmax.tables, config, clinical=dmax.clinical)
    off = made.rules.filter(~pl.col("used") & pl.col("reading").is_not_null())
    names = set((off["rule"] + "/" + off["reading"]).to_list())
    assert set(config.without) <= names
    entries = mark_derived(made.rendered.entries)
    quality, prompt = pl.col("quality"), pl.col("prompt").str.to_lowercase()
    rows = entries.filter(
        ((quality == "derived/region-where") & prompt.str.contains("nodule|lesion"))
        | ((quality == "derived/label-question") & prompt.str.contains("pneumothorax"))
    )
    assert rows.is_empty()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("report-label/Edemaa", "did you mean report-label/Edema"),
        ("report-label/", "such as report-label/"),
        ("report-lable/Edema", "did you mean report-label"),
        ("mask-ratio/ctrl", "did you mean mask-ratio/ctr"),
    ],
)
def test_an_unknown_reading_is_refused(name, said):
    with pytest.raises(ImaxrayError, match=said):
        chosen_rules(DeriveConfig(without=(name,)))


def test_every_reading_of_a_built_in_rule_can_be_named():
    facts = [
        Fact("report", "findings", text="Left pleural effusion. Interstitial edema. No mass."),
        Fact("measurement", "ctr", 0.7), Fact("grade", "edema", 2.0),
        Fact("label", "Cardiomegaly", 1.0), Fact("label", "Edema", 0.0),
        Fact("findings", "list", labels=(("Edema", 1),)),
        Fact("rec", text="left pneumothorax", boxes=((1.0, 2.0, 3.0, 4.0),)),
    ]  # fmt: skip
    organs = dict.fromkeys(("heart", "left lung", "right lung"), (1.0, 2.0, 3.0, 4.0))
    about = About("a/1", "PA", (9, 9), organs, {"ctr": 0.4, "cpar": 0.4})
    known = Known(about, facts, facts)
    habits = Habits(usual=frozenset({"Fracture"}))
    names = {
        f"{rule.name}/{reading}"
        for rule in BUILT_IN
        for conclusion in rule.conclude(known, habits)
        for reading in conclusion.readings
    }
    assert len(names) > 20
    assert chosen_rules(DeriveConfig(without=tuple(sorted(names))))


def test_a_reading_that_was_never_compared_is_not_proven():
    rule = RULES["report-silence"]
    known = Known(About("a/1"), [Fact("report", "findings", text="Normal chest.")])
    habits = Habits(usual=frozenset({"Edema", "Fracture"}))
    counts = [(rule.name, "Edema", f"p{k}", True) for k in range(20)]
    measured = measured_rules(tallied(*counts), [rule], precision=0.9, judged=10)
    assert switched_off(measured) == (frozenset(), frozenset())
    found = [c.fact.name for c in proven(rule, measured).conclude(known, habits)]
    assert found == ["Edema"]
    assert proven(RULES["report-label"], measured) is RULES["report-label"]


def test_a_planted_wrong_rule_is_off_by_name_and_its_interval_is_over_patients():
    rule = RULES["boxes-ratio"]
    wrong = [(rule.name, None, f"p{k % 10}", k < 30) for k in range(40)]
    measured = measured_rules(tallied(*wrong), [rule], precision=0.9, judged=10)
    (row,) = measured.to_dicts()
    assert (row["judged"], row["right"], row["patients"], row["clean"]) == (40, 30, 10, 0)
    assert not row["used"] and row["why"] == "precision 0.750 is below 0.9"
    assert row["low"] == 0.0
    # 1 - (0.05 / 2) ** (1 / 10), the exact limit of none of ten
    assert row["high"] == pytest.approx(1 - 0.025 ** (1 / 10))


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [  # Clopper and Pearson 1934, as statistical tables have them
        (0, 5, 0.0, 0.5218), (5, 5, 0.4782, 1.0), (8, 10, 0.4439, 0.9748),
        (95, 100, 0.8872, 0.9836),
    ],
)  # fmt: skip
def test_intervals_are_exact(right, n, low, high):
    assert interval(right, n) == pytest.approx((low, high), abs=5e-5)
