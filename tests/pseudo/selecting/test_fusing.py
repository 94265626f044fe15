"""Fused statements: order does not matter, agreement never hurts, and probabilities are true."""

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from imaxray.clinical import DEFAULT_RULES
from imaxray.errors import ImaxrayError
from imaxray.pseudo import FilterConfig, filter_folder, fuse
from imaxray.pseudo.selecting.fusing.calibration import ClaimCalibration, fit_channels, fit_curve
from imaxray.pseudo.selecting.fusing.claims import (
    EDEMA_GRADE,
    FINDING,
    Claim,
    Vocabulary,
    two_sided,
    values_of,
)
from imaxray.pseudo.selecting.fusing.posterior import combine, posteriors
from imaxray.pseudo.selecting.fusing.rendering import PARTIAL, render
from imaxray.tasks import from_json, get_task

ODDS = st.floats(-8, 8)
GRADES = (0, 1, 2, 3)
CLAIMS = st.lists(
    st.tuples(st.frozensets(st.sampled_from(GRADES), min_size=1, max_size=3), ODDS), max_size=6
)
PRIOR = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(
    lambda shares: {v: s / sum(shares) for v, s in zip(GRADES, shares, strict=True)}
)
SHARE = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(PRIOR, CLAIMS, SHARE, st.randoms())
def test_the_order_of_claims_does_not_matter(prior, claims, share, random):
    once = combine(prior, claims, share)
    mixed = list(claims)
    random.shuffle(mixed)
    assert combine(prior, mixed, share) == once
    assert math.fsum(once.values()) == pytest.approx(1)


@given(PRIOR, CLAIMS, SHARE, st.sampled_from(GRADES), ODDS)
def test_more_agreeing_evidence_never_lowers(prior, claims, share, value, odds):
    before = combine(prior, claims, share)[value]
    after = combine(prior, [*claims, (frozenset({value}), odds)], share)[value]
    if odds >= 0 or any(value in values for values, _ in claims):
        assert after >= before - 1e-12


@given(PRIOR, st.sampled_from(GRADES), st.floats(0.01, 0.99))
def test_one_claim_alone_has_its_calibrated_probability(prior, value, share):
    odds = math.log(share / (1 - share)) - math.log(prior[value] / (1 - prior[value]))
    assert combine(prior, [(frozenset({value}), odds)], 0.5)[value] == pytest.approx(share)


def claim(name, value, *, channel="model findings label", evidence=(-0.1, 0.0), **more):
    given = {
        "fact": (FINDING, name), "values": frozenset({value}), "owner": "c", "task": "findings",
        "channel": channel, "origin": "model", "direct": False, "by": "m", "evidence": evidence,
    }  # fmt: skip
    return Claim(**{**given, **more})


def drawn(count, seed):
    """Facts with a known prior, and two independent claims whose reliability is known."""
    random = np.random.default_rng(seed)
    truth = random.random(count) < 0.3
    claims = []
    for k in range(count):
        about = []
        for channel, skill in (("list", 1.0), ("report", 0.5)):
            log = math.log(0.05 + 0.95 * random.random())
            right = random.random() < expit(skill * (3 + 2 * log))
            value = int(truth[k]) if right else 1 - int(truth[k])
            about.append(claim("Edema", value, channel=channel, evidence=(log, 0.0)))
        claims.append(about)
    return truth, claims


def test_posteriors_are_calibrated_on_synthetic_data():
    vocabulary = Vocabulary({}, frozenset(), {(FINDING, "Edema"): (0.7, 0.3)}, DEFAULT_RULES)
    truth, claims = drawn(4000, 0)
    examples = [
        (one, one.values == {int(true)}, (0.7, 0.3)[next(iter(one.values))])
        for true, about in zip(truth, claims, strict=True) for one in about
    ]  # fmt: skip
    calibration = ClaimCalibration(fit_channels(examples), 1.0)
    truth, claims = drawn(4000, 1)
    found = np.array([posteriors(a, vocabulary, calibration)[FINDING, "Edema"][1] for a in claims])
    alone = np.array(
        [posteriors(a[:1], vocabulary, calibration)[FINDING, "Edema"][1] for a in claims]
    )
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        there = (found >= low) & (found < low + 0.2)
        assert there.sum() > 50
        assert found[there].mean() == pytest.approx(truth[there].mean(), abs=0.07)
    assert brier(found, truth) < brier(alone, truth) - 0.01


def brier(shares, truth):
    return float(((shares - truth) ** 2).mean())


def test_a_curve_never_falls_with_confidence_and_stays_finite():
    features = np.log(np.linspace(0.1, 1, 40))[:, None]
    falling = fit_curve(features, (np.arange(40) < 20).astype(float))
    assert falling.slopes == (0.0,)
    sure = fit_curve(features, np.ones(40))
    assert 2 < sure.at((0.0,)) < 20
    assert fit_curve(features[:5], np.ones(5)) is None


def test_a_human_entry_settles_its_fact_and_clinical_rules_connect_facts(catalog):
    vocabulary = Vocabulary.of(catalog.split("train"), DEFAULT_RULES)
    row = {
        "task": "grading", "entry_id": "e", "template": "grading.edema.0", "prompt": "Grade it.",
        "boxes": [], "answer": "3", "target": "alveolar edema", "sources": ["s"],
    }  # fmt: skip
    claims = list(vocabulary.of_entry(row, None))
    assert {(c.fact, c.values, c.direct) for c in claims} == {
        (EDEMA_GRADE, frozenset({3}), True), ((FINDING, "Edema"), frozenset({1}), False),
    }  # fmt: skip
    against = claim("Edema", 0, fact=EDEMA_GRADE, values=frozenset({0}))
    facts = posteriors([*claims, against], vocabulary, ClaimCalibration({}, 0.0))
    assert facts == {EDEMA_GRADE: {0: 0.0, 1: 0.0, 2: 0.0, 3: 1.0}}
    assert values_of(EDEMA_GRADE) == (0, 1, 2, 3)


def test_a_derived_statement_counts_as_often_right_as_rules_must_be(catalog):
    vocabulary = Vocabulary({}, frozenset(), {(FINDING, "Edema"): (0.7, 0.3)}, DEFAULT_RULES)
    derived = claim("Edema", 1, origin="derived")
    facts = posteriors([derived], vocabulary, ClaimCalibration({}, 0.0))
    assert facts[FINDING, "Edema"][1] == pytest.approx(0.9)


@pytest.mark.parametrize(("question", "fact"), [
    ("Is there pleural effusion?", ((FINDING, "Pleural Effusion"), 1)),
    ("Is there pleural effusion in the left lung?", None),
    ("Where is the pleural effusion?", None),
])  # fmt: skip
def test_no_decides_a_question_only_about_the_whole_image(question, fact):
    assert two_sided("vqa.closed.0", get_task("vqa").templates["closed"][0].replace("{}", question)
                     ) == fact  # fmt: skip


def test_labels_that_are_not_certain_are_left_open(candidate):
    labels = ("Edema", "Pneumothorax", "Cardiomegaly")
    prior = {(FINDING, label): (0.5, 0.5) for label in labels}
    vocabulary = Vocabulary({"findings": frozenset(labels)}, frozenset(), prior, DEFAULT_RULES)
    row = {**candidate("findings", {"Edema": 1}), "sampled": None}
    facts = {
        (FINDING, "Edema"): {0: 0.01, 1: 0.99}, (FINDING, "Pneumothorax"): {0: 0.6, 1: 0.4},
        (FINDING, "Cardiomegaly"): {0: 0.98, 1: 0.02},
    }  # fmt: skip
    _, whole, part = render(row, facts, vocabulary, certain=0.95, size=None)
    assert from_json(whole.answer) == {"Edema": 1, "Pneumothorax": 0, "Cardiomegaly": 0}
    assert from_json(part.answer) == {"Edema": 1, "Pneumothorax": -1, "Cardiomegaly": 0}
    assert (part.target, part.form, part.left_open) == ("Edema", PARTIAL, 1)
    # without a present label, an open one leaves nothing to say; it is never "No Finding"
    facts[FINDING, "Edema"] = {0: 0.99, 1: 0.01}
    _, only = render(row, facts, vocabulary, certain=0.95, size=None)
    assert (only.target, only.left_open) == ("No Finding", 0)


def test_a_label_that_is_left_open_is_not_judged():
    judge, gold = get_task("findings"), {"Edema": 1, "Pneumothorax": 1, "Cardiomegaly": 0}
    assert judge.is_correct({"Edema": 1, "Pneumothorax": -1}, gold)
    assert not judge.is_correct({"Edema": 1}, gold)
    assert not judge.is_correct({"Cardiomegaly": 1, "Pneumothorax": -1}, gold)


@pytest.fixture(scope="module")
def folder(dmax, lacking, fabricate, tmp_path_factory):
    """Answers that are right in four of five cases; their confidence says nothing."""
    made = tmp_path_factory.mktemp("fusing")
    images = lacking["image_id"].unique().sort()[:12].implode()
    some = lacking.filter(pl.col("image_id").is_in(images))
    fabricate(some, 0.8, seed=1).write_parquet(made / "candidates.parquet")
    fabricate(dmax.tables.split("val"), 0.8, seed=2).write_parquet(made / "calibration.parquet")
    return made


@pytest.fixture(scope="module")
def fused(folder, dmax):
    both = [pl.read_parquet(folder / f"{n}.parquet") for n in ("candidates", "calibration")]
    return fuse(*both, dmax.tables, precision=0.8)


def test_every_candidate_stays_one(folder, fused):
    before = pl.read_parquet(folder / "candidates.parquet")
    assert fused.candidates["pseudo_id"].to_list() == before["pseudo_id"].to_list()
    assert fused.candidates["score"].is_between(0, 1).all()
    assert fused.report["channels"]


def test_the_order_of_rows_does_not_change_what_is_fused(folder, fused, dmax):
    both = [
        pl.read_parquet(folder / f"{n}.parquet").sample(fraction=1, shuffle=True, seed=3)
        for n in ("candidates", "calibration")
    ]
    again = fuse(*both, dmax.tables, precision=0.8)
    assert again.candidates.sort("pseudo_id").equals(fused.candidates.sort("pseudo_id"))


def test_the_most_probable_answers_are_right_more_often(fused, catalog):
    from imaxray.pseudo import right_candidates

    right = set(right_candidates(fused.candidates, catalog.entries)["pseudo_id"])
    ranked = fused.candidates.sort("score", "pseudo_id")["pseudo_id"].to_list()
    third = len(ranked) // 3
    assert sum(i in right for i in ranked[-third:]) > sum(i in right for i in ranked[:third])


def test_a_folder_of_an_earlier_version_is_fused_and_filtered(folder, dmax, catalog, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("candidates", "calibration"):
        table = pl.read_parquet(folder / f"{name}.parquet").drop("sampled", "score")
        table.write_parquet(old / f"{name}.parquet")
    config = FilterConfig(precision=0.7, risk=0, fuse=True)
    done = filter_folder(old, dmax.folder, tmp_path / "out", config)
    filters = set(done.filtered.yields["filter"])
    assert {"none", "confidence", "both", "fused", "fused, both"} <= filters
    assert done.filtered.kept.height + done.filtered.dropped.height == pl.read_parquet(
        old / "candidates.parquet"
    ).height  # fmt: skip
    told = json.loads((tmp_path / "out" / "filter.json").read_text())
    assert told["fusion"]["further"] == done.fusion["further"]
    again = filter_folder(old, dmax.folder, tmp_path / "again", config)
    assert again.dataset.sha256 == done.dataset.sha256
    plain = config.model_copy(update={"fuse": False})
    other = filter_folder(old, dmax.folder, tmp_path / "plain", plain)
    assert other.dataset.sha256 != done.dataset.sha256


def test_nothing_to_calibrate_on_is_one_sentence(folder, dmax):
    table = pl.read_parquet(folder / "candidates.parquet")
    with pytest.raises(ImaxrayError, match="answers to validation entries"):
        fuse(table, table.clear(), dmax.tables)


def test_an_option_that_is_off_does_not_change_the_identity():
    assert "fuse" not in FilterConfig().decides()
    assert FilterConfig(fuse=True).decides()["fuse"] is True
