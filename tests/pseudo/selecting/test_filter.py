"""Tests the filters on answers with a known error rate."""

import numpy as np
import polars as pl
import pytest

from imaxray.curation import Tables
from imaxray.errors import ImaxrayError
from imaxray.pseudo import calibrate, filter_candidates, load_rules
from imaxray.pseudo.dataset import pseudo_entries
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, conform, empty
from imaxray.tasks import from_json, to_json

IMAGE = conform(
    pl.DataFrame(
        {"image_id": ["i"], "patient_id": ["p"], "split": ["train"], "width": [100],
         "height": [100], "view": ["PA"]}
    ), IMAGES,
)  # fmt: skip


def tables(entries=None):
    return Tables(IMAGE, empty(ANNOTATIONS), empty(ENTRIES) if entries is None else entries)


def builtin(name, **changes):
    rule = next(rule for rule in load_rules() if rule.name == name)
    return rule.model_copy(update=changes)


def codes(done):
    return {i: (code, rule) for i, code, rule in done.dropped.iter_rows()}


def of(done, which, task="all"):
    return done.yields.filter(pl.col("task") == task, pl.col("filter") == which).row(0, named=True)


@pytest.mark.parametrize("rate", [0.5, 0.8])
def test_the_precision_found_is_the_precision_put_in(dmax, lacking, fabricate, catalog, rate):
    made = fabricate(lacking, rate, seed=1)
    none = of(filter_candidates(made, dmax, truth=catalog.entries), "none")
    assert none["kept"] == none["candidates"] == none["judged"] == made.height
    assert none["low"] <= rate <= none["high"]


def test_confidence_keeps_what_was_asked_for(dmax, lacking, fabricate, catalog):
    random = np.random.default_rng(0)

    def answers(entries, seed):
        sure = random.random(entries.height)
        right = random.random(entries.height) < 0.4 + 0.6 * sure
        return fabricate(entries, right, seed=seed, logprobs=np.log(sure))

    # a real phantom's val split is small: its train entries of other images stand in for it
    val = dmax.tables.split("train").with_columns(pl.lit("val").alias("split"))
    thresholds = calibrate(answers(val, 1), val, 0.85, risk=0.1)
    assert thresholds.tasks["rec"].threshold is not None
    done = filter_candidates(
        answers(lacking, 2), dmax, thresholds=thresholds, truth=catalog.entries
    )
    kept = of(done, "confidence", "rec")
    assert kept["precision"] > 0.82 > of(done, "none", "rec")["precision"]
    lacked = {task for task, t in thresholds.tasks.items() if t.threshold is None}
    assert set(done.dropped.filter(pl.col("code") == "unreached")["pseudo_id"]) == set(
        lacking.filter(pl.col("task").is_in(list(lacked)))["entry_id"]
    )


def test_consistency_beats_as_many_most_confident_where_confidence_is_blind(
    dmax, lacking, fabricate, catalog
):
    made = fabricate(lacking, 0.75, seed=3)
    done = filter_candidates(made, dmax, rules=load_rules(), truth=catalog.entries)
    total = done.equal_yield.filter(pl.col("task") == "all").row(0, named=True)
    assert total["kept"] == of(done, "consistency")["kept"] == done.kept.height
    assert total["gain"] == pytest.approx(total["precision"] - total["confidence_precision"])
    assert total["low"] > 0
    cycle = done.rules.filter(pl.col("rule") == "grade-edema", pl.col("task") == "grading")
    row = cycle.row(0, named=True)
    assert row["contradicted_precision"] < row["agreed_precision"]


def test_kept_and_dropped_are_the_candidates(dmax, lacking, fabricate):
    made = fabricate(lacking, 0.6, seed=5)
    made = made.with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise("answer").alias("answer"),
        (pl.int_range(pl.len()) % 5 != 0).alias("ended"),
    )
    done = filter_candidates(made, dmax, rules=load_rules())
    assert sorted([*done.kept["pseudo_id"], *done.dropped["pseudo_id"]]) == sorted(
        made["pseudo_id"]
    )
    counts = dict(done.dropped.group_by("code").len().iter_rows())
    assert counts["unreadable"] == made["answer"].null_count()
    assert counts["unfinished"] == made.filter(
        pl.col("answer").is_not_null() & ~pl.col("ended")
    ).height  # fmt: skip


def test_the_order_of_rows_does_not_matter(dmax, lacking, fabricate):
    made = fabricate(lacking, 0.6, seed=5)
    one = filter_candidates(made, dmax, rules=load_rules())
    other = filter_candidates(made.reverse(), dmax, rules=load_rules())
    assert one.kept.equals(other.kept) and one.dropped.equals(other.dropped)


def heart(candidate, table, ratio_log, findings_log, **more):
    return table(
        candidate("calculation", 0.40, logprob=ratio_log),
        candidate("findings", {"Cardiomegaly": 1, "Edema": 1, **more}, logprob=findings_log),
    )


def test_drop_takes_the_less_confident(candidate, table):
    rule = builtin("ctr-cardiomegaly")
    done = filter_candidates(heart(candidate, table, -0.1, -0.5), tables(), rules=[rule])
    assert codes(done) == {"findings-0": ("contradicted", "ctr-cardiomegaly")}
    done = filter_candidates(heart(candidate, table, -0.5, -0.1), tables(), rules=[rule])
    assert codes(done) == {"calculation-0": ("contradicted", "ctr-cardiomegaly")}


def test_equals_both_go_and_drop_both_takes_both(candidate, table):
    rule = builtin("ctr-cardiomegaly")
    done = filter_candidates(heart(candidate, table, -0.1, -0.1), tables(), rules=[rule])
    assert done.kept.is_empty()
    both = builtin("ctr-cardiomegaly", effect="drop-both")
    done = filter_candidates(heart(candidate, table, -0.1, -0.5), tables(), rules=[both])
    assert done.kept.is_empty()


def test_mask_takes_only_the_disputed_label(candidate, table):
    rule = builtin("ctr-cardiomegaly", effect="mask")
    done = filter_candidates(heart(candidate, table, -0.1, -0.5), tables(), rules=[rule])
    kept = {row["task"]: row for row in done.kept.iter_rows(named=True)}
    assert from_json(kept["findings"]["answer"]) == {"Edema": 1}
    assert kept["findings"]["target"] == "Edema" and done.masked == 1
    # the ratio is no list of labels: it goes whole
    done = filter_candidates(heart(candidate, table, -0.5, -0.1), tables(), rules=[rule])
    assert list(codes(done)) == ["calculation-0"]


def test_an_answer_of_which_nothing_is_left_goes(candidate, table):
    rule = builtin("ctr-cardiomegaly", effect="mask")
    rows = table(
        candidate("calculation", 0.40, logprob=-0.1),
        candidate("findings", {"Cardiomegaly": 1}, logprob=-0.5),
    )
    done = filter_candidates(rows, tables(), rules=[rule])
    assert list(codes(done)) == ["findings-0"] and done.masked == 0


def test_what_was_dropped_accuses_no_more(candidate, table):
    """The report denies the findings' edema, but the real grade has spoken against the report."""
    real = pseudo_entries(table(candidate("grading", 3)))
    rows = table(
        candidate("report", {"findings": "No pulmonary edema."}, logprob=-0.1),
        candidate("findings", {"Edema": 1}, logprob=-0.5),
    )
    rules = [builtin("report-findings"), builtin("grade-edema")]
    done = filter_candidates(rows, tables(real), rules=rules)
    assert codes(done) == {"report-0": ("contradicted", "grade-edema")}
    alone = filter_candidates(rows, tables(), rules=rules)
    assert codes(alone) == {"findings-0": ("contradicted", "report-findings")}


def test_keep_only_counts(candidate, table):
    rule = builtin("ctr-cardiomegaly", effect="keep")
    done = filter_candidates(heart(candidate, table, -0.1, -0.5), tables(), rules=[rule])
    assert done.kept.height == 2
    assert done.rules.filter(pl.col("task") == "all")["contradicted"].item() == 1


def test_keep_only_if_drops_what_nobody_confirms(candidate, table):
    rule = builtin("grade-edema", effect="keep-only-if")
    alone = table(candidate("grading", 3))
    done = filter_candidates(alone, tables(), rules=[rule])
    assert codes(done) == {"grading-0": ("unconfirmed", "grade-edema")}
    pair = table(candidate("grading", 3), candidate("findings", {"Edema": 1}))
    assert filter_candidates(pair, tables(), rules=[rule]).kept.height == 2


def graded(candidate, table, n=200):
    """Calibration that sets a threshold of about 0.46 on grading and keeps all findings."""
    sure = np.linspace(0.01, 0.99, n)
    rows, gold = [], []
    for k, c in enumerate(sure):
        for task, right, wrong in (("grading", 3, 0), ("findings", {"Edema": 1}, {"Fracture": 1})):
            mine = right if task == "findings" or c > 0.5 else wrong
            common = {"number": k, "patient_id": f"p{k}", "image_id": f"v{k}"}
            rows.append(candidate(task, mine, logprob=float(np.log(c)), **common))
            truth = {"Edema": 1, "Fracture": 0} if task == "findings" else right
            gold.append({**candidate(task, right, **common), "answer": to_json(truth)})
    entries = pseudo_entries(table(*gold))
    return table(*rows), entries.with_columns(pl.lit("val").alias("split"))


def test_confirm_lowers_the_threshold_of_what_a_confident_fact_confirms(candidate, table):
    thresholds = calibrate(*graded(candidate, table), 0.8)
    limit = thresholds.tasks["grading"].threshold
    rule = builtin("grade-edema", effect="confirm", by=0.5)
    below = float(np.log(limit * 0.7))
    pair = table(
        candidate("grading", 3, logprob=below), candidate("findings", {"Edema": 1}, logprob=-0.01)
    )
    done = filter_candidates(pair, tables(), thresholds=thresholds, rules=[rule])
    assert done.kept.height == 2
    assert of(done, "confidence")["kept"] == 1  # by itself it would not pass
    alone = filter_candidates(pair.filter(pl.col("task") == "grading"), tables(),
                              thresholds=thresholds, rules=[rule])  # fmt: skip
    assert codes(alone) == {"grading-0": ("low-confidence", None)}


def test_tasks_that_were_not_calibrated_keep_nothing(candidate, table):
    thresholds = calibrate(*graded(candidate, table), 0.8)
    done = filter_candidates(table(candidate("calculation", 0.4)), tables(), thresholds=thresholds)
    assert codes(done) == {"calculation-0": ("not-calibrated", None)}


def test_what_the_data_set_has_is_not_taken_again(candidate, table):
    rows = table(candidate("grading", 3))
    done = filter_candidates(rows, tables(pseudo_entries(rows)))
    assert codes(done) == {"grading-0": ("has-real", None)}


def test_candidates_of_other_splits_are_refused(dmax, fabricate):
    made = fabricate(dmax.tables.split("val"), 1.0)
    with pytest.raises(ImaxrayError, match="never enter validation or test"):
        filter_candidates(made, dmax)


def test_an_id_that_comes_twice_is_refused(candidate, table):
    one = candidate("grading", 3)
    with pytest.raises(ImaxrayError, match="occurs again"):
        filter_candidates(table(one, one), tables())


def test_samples_on_one_side_only_are_refused(candidate, table):
    thresholds = calibrate(*graded(candidate, table), 0.8)
    rows = table(candidate("grading", 3, agreement=0.5))
    with pytest.raises(ImaxrayError, match="both or for neither"):
        filter_candidates(rows, tables(), thresholds=thresholds)


def test_no_candidates_is_no_error(dmax, table):
    done = filter_candidates(table().clear(), dmax, rules=load_rules())
    assert done.kept.is_empty() and done.yields.is_empty()
