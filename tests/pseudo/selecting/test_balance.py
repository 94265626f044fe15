"""Tests that balance keeps the share of each answer and prefers the most confident ones."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.pseudo import PSEUDO, balanced, filter_candidates, write_pseudo
from imaxray.schema import ENTRIES, conform


def graded(grades, schema, confidences=None):
    """Grading entries or candidates with these answers."""
    n = len(grades)
    frame = pl.DataFrame(
        {
            "task": ["grading"] * n,
            "template": ["grading.edema.0"] * n,
            "answer": [str(g) for g in grades],
            "target": [str(g) for g in grades],
        }
    )
    if schema is PSEUDO:
        frame = frame.with_columns(
            pl.Series("pseudo_id", [f"g{k:05d}" for k in range(n)]),
            pl.Series("logprob", confidences or [-0.1] * n, dtype=pl.Float64),
        )
    return conform(frame, schema)


def test_majority_is_cut_to_its_share():
    real = graded([0] * 60 + [1] * 20 + [2] * 20, ENTRIES)
    mine = graded([0] * 500 + [1] * 10 + [2] * 30, PSEUDO)
    kept = mine.filter(pl.col("pseudo_id").is_in(list(balanced(mine, real))))
    assert dict(kept["answer"].value_counts().iter_rows()) == {"0": 30, "1": 10, "2": 10}


def test_the_surest_stay():
    real = graded([0, 1], ENTRIES)
    mine = graded([0, 0, 0, 1], PSEUDO, [-0.9, -0.1, -0.5, -2.0])
    assert balanced(mine, real) == {"g00001", "g00003"}


def test_a_common_answer_that_no_candidate_gives_empties_the_task():
    real = graded([0, 0, 1, 2], ENTRIES)
    assert balanced(graded([0, 0, 1, 1], PSEUDO), real) == frozenset()


def test_a_rare_answer_limits_nobody_and_tasks_without_real_entries_stay():
    real = graded([0] * 97 + [3] * 3, ENTRIES)
    mine = graded([0] * 50, PSEUDO)
    assert len(balanced(mine, real)) == 50
    assert len(balanced(mine, real.filter(pl.col("answer") == "none"))) == 50


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
)
def test_no_common_answer_outweighs_its_share(real, mine):
    candidates = graded(mine, PSEUDO)
    stays = balanced(candidates, graded(real, ENTRIES))
    kept = [g for k, g in enumerate(mine) if f"g{k:05d}" in stays]
    common = {g for g in real if real.count(g) / len(real) >= 0.05}
    for one in common:
        for other in common:
            # counts are whole: one off each
            share = real.count(one) / real.count(other)
            assert kept.count(one) <= share * (kept.count(other) + 1) + 1e-9
    assert set(kept) <= set(real)


def test_as_last_step_of_the_filter(dmax, lacking, fabricate):
    candidates = fabricate(lacking, 0.8)
    plain = filter_candidates(candidates, dmax)
    even = filter_candidates(candidates, dmax, balance=True)
    assert set(even.kept["pseudo_id"]) < set(plain.kept["pseudo_id"])
    codes = set(even.dropped["code"]) - set(plain.dropped["code"])
    assert codes == {"unbalanced"}
    assert even.kept.height + even.dropped.height == candidates.height
    assert "balance" in set(even.yields["filter"])


def test_written_with_a_reject_each(dmax, lacking, fabricate, tmp_path):
    even = filter_candidates(fabricate(lacking, 0.8), dmax, balance=True)
    made = write_pseudo(dmax, even.kept, tmp_path / "even", dropped=even.dropped)
    codes = made.tables.rejects["code"].cast(pl.String)
    assert (codes == "pseudo-unbalanced").sum() == (even.dropped["code"] == "unbalanced").sum() > 0
