"""Tests index tables: exact step sizes, task shares and the rows of each process."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.schema import mark_pseudo
from imaxray.training import (
    TrainingConfig,
    drawn_shares,
    origin_shares,
    real_task_shares,
    schedule,
    share_out,
    task_shares,
)
from imaxray.training.steps.schedule import once

ENTRIES = pl.DataFrame(
    [(f"e{k:03}", f"i{k // 5:02}", "vqa" if k % 10 else "rec") for k in range(120)],
    schema=["entry_id", "image_id", "task"],
    orient="row",
)  # 108 vqa, 12 rec on 24 images


def tasks_of(table):
    joined = table.join(ENTRIES, on="entry_id", maintain_order="left")
    return dict(joined.group_by("task").len().iter_rows())


@pytest.mark.parametrize("layout", ["packed", "separate", "conversation"])
@pytest.mark.parametrize("shares", [None, {"vqa": 0.5, "rec": 0.5}])
def test_every_step_has_its_entries_and_rows_share_an_image(layout, shares):
    kwargs = {"layout": layout, "entries_per_step": 7, "steps": 40, "shares": shares}
    table = schedule(ENTRIES, seed=0, **kwargs)
    assert table.group_by("step").len()["len"].to_list() == [7] * 40
    rows = table.join(ENTRIES, on="entry_id").group_by("step", "row")
    assert rows.agg(pl.col("image_id").n_unique())["image_id"].max() == 1
    # an entry drawn again goes to another row, so that no row asks the same twice
    assert rows.agg(pl.col("entry_id").is_duplicated().any())["entry_id"].any() is False
    assert table.equals(schedule(ENTRIES.reverse(), seed=0, **kwargs))
    assert not table.equals(schedule(ENTRIES, seed=1, **kwargs))
    assert table.equals(table.sort("step", "row", maintain_order=True))


def test_shares_are_kept_in_every_epoch_and_no_entry_is_starved():
    shares = {"vqa": 0.75, "rec": 0.25}
    table = schedule(ENTRIES, layout="packed", entries_per_step=120, steps=3, seed=0, shares=shares)
    for step in range(3):
        assert tasks_of(table.filter(pl.col("step") == step)) == {"vqa": 90, "rec": 30}
    # 270 draws of 108: each twice or three times, as epochs go on where they stopped
    counts = table.join(ENTRIES, on="entry_id").filter(task="vqa")["entry_id"].value_counts()
    assert set(counts["count"]) == {2, 3} and counts.height == 108


@given(st.floats(0.5, 50))
def test_temperature_flattens(temperature):
    shares = task_shares(ENTRIES, temperature=temperature)
    assert sum(shares.values()) == pytest.approx(1)
    natural = 12 / 108
    assert shares["rec"] / shares["vqa"] == pytest.approx(natural ** (1 / temperature))


def test_weights_name_every_task_and_no_absent_one():
    assert task_shares(ENTRIES, {"vqa": 3, "rec": 1}) == {"vqa": 0.75, "rec": 0.25}
    assert task_shares(ENTRIES) is None
    with pytest.raises(ImaxrayError, match="rec has none"):
        task_shares(ENTRIES, {"vqa": 1})
    with pytest.raises(ImaxrayError, match="reg has no entry"):
        task_shares(ENTRIES, {"vqa": 1, "rec": 1, "reg": 1})
    without = schedule(
        ENTRIES, layout="separate", entries_per_step=10, steps=12, seed=0,
        shares=task_shares(ENTRIES, {"vqa": 1, "rec": 0}),
    )  # fmt: skip
    assert tasks_of(without) == {"vqa": 120}


def test_validation_takes_each_entry_once():
    table = once(ENTRIES, layout="packed", entries_per_step=50, most=500, seed=0)
    assert sorted(table["entry_id"]) == sorted(ENTRIES["entry_id"])
    assert table.group_by("step").len().sort("step")["len"].to_list() == [50, 50, 20]
    assert table.group_by("step").agg(pl.col("row").min())["row"].to_list() == [0, 0, 0]
    assert once(ENTRIES, layout="packed", entries_per_step=50, most=30, seed=0).height == 30


lengths = st.lists(st.integers(1, 500), min_size=1, max_size=30)


@settings(max_examples=200)
@given(lengths, st.integers(1, 4), st.integers(1, 3), st.none() | st.integers(100, 2000))
def test_rows_are_shared_out_once_and_within_the_budget(lengths, ranks, at_least, budget):
    shares = share_out(lengths, ranks=ranks, at_least=at_least, budget=budget)
    rows = [row for share in shares for rows in share for row in rows]
    assert sorted(rows) == list(range(len(lengths)))
    assert len(shares) == ranks and len({len(share) for share in shares}) == 1
    passes = [rows for share in shares for rows in share if rows]
    assert len(passes) >= min(ranks * at_least, len(lengths))
    if budget is not None:
        for rows in passes:
            assert len(rows) == 1 or len(rows) * max(lengths[r] for r in rows) <= budget
    # an idle pass only where there is no row left to give
    idle = sum(not rows for share in shares for rows in share)
    assert idle < ranks and (not idle or len(passes) == len(lengths))


def test_one_process_without_a_budget_runs_the_step_as_it_is():
    assert share_out([3, 9, 1]) == [[[0, 1, 2]]]


def test_work_is_shared_evenly():
    lengths = np.random.default_rng(0).integers(50, 800, 64).tolist()
    loads = [sum(lengths[r] for rows in share for r in rows)
             for share in share_out(lengths, ranks=4)]  # fmt: skip
    assert max(loads) < 1.3 * min(loads)


# --- pseudo entries ---

WITH_PSEUDO = mark_pseudo(
    ENTRIES.with_columns(
        quality=pl.when(pl.int_range(120) % 4 == 0)
        .then(pl.lit("expert"))
        .otherwise(pl.lit("pseudo/phantom")),
        sources=pl.lit(None, dtype=pl.List(pl.String)),
    )
)


@pytest.mark.parametrize("layout", ["packed", "separate"])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_tasks_keep_their_real_shares_and_real_entries_theirs(layout, share):
    shares = origin_shares(WITH_PSEUDO, share)
    assert sum(shares.values()) == pytest.approx(1)
    table = schedule(
        WITH_PSEUDO, layout=layout, entries_per_step=120, steps=4, seed=0, shares=shares
    )
    drawn = table.join(WITH_PSEUDO, on="entry_id")
    real = WITH_PSEUDO.filter(quality="expert")
    for task in ("rec", "vqa"):
        of_task = drawn.filter(task=task)
        wanted = real.filter(task=task).height / real.height
        assert of_task.height / drawn.height == pytest.approx(wanted, abs=0.01)
        of_real = of_task.filter(quality="expert").height / of_task.height
        assert of_real == pytest.approx(share, abs=0.02)


def test_a_task_without_pseudo_entries_stays_real_and_one_without_real_ones_counts_too():
    some = WITH_PSEUDO.filter((pl.col("task") == "vqa") | (pl.col("quality") == "expert"))
    shares = origin_shares(some, 0.25)
    assert shares["pseudo/rec"] == 0 and shares["pseudo/vqa"] == pytest.approx(3 * shares["vqa"])
    alone = WITH_PSEUDO.filter((pl.col("task") == "vqa") | (pl.col("quality") != "expert"))
    counts = (alone.filter(task="rec").height, alone.filter(task="vqa", quality="expert").height)
    shares = origin_shares(alone, 0.25)
    assert shares["rec"] == 0
    assert shares["pseudo/rec"] == pytest.approx(counts[0] / sum(counts))


def test_derived_entries_do_not_change_the_shares_of_tasks():
    derived = WITH_PSEUDO.with_columns(
        quality=pl.when(quality="expert").then("quality").otherwise(pl.lit("derived/rule"))
    ).drop("is_pseudo")
    shares = real_task_shares(derived)
    real = derived.filter(quality="expert")
    counts = dict(real.group_by("task").len().iter_rows())
    assert shares == {task: counts[task] / real.height for task in sorted(counts)}
    config = TrainingConfig(task_shares="real")
    assert drawn_shares(derived, config) == shares
    table = schedule(derived, layout="packed", entries_per_step=120, steps=4, seed=0, shares=shares)
    drawn = table.join(derived, on="entry_id").group_by("task").len()
    assert {t: n / table.height for t, n in drawn.iter_rows()} == pytest.approx(shares, abs=0.01)
    # without real entries a task counts by what was derived
    without = derived.filter((pl.col("task") != "rec") | (pl.col("quality") != "expert"))
    rec, vqa = (
        without.filter(task="rec").height,
        without.filter(task="vqa", quality="expert").height,
    )
    assert real_task_shares(without)["rec"] == pytest.approx(rec / (rec + vqa))
    with pytest.raises(ValueError, match="remove weights"):
        TrainingConfig(task_shares="real", temperature=2.0)
