"""Filtering from candidates to a dataset folder, on answers whose error rate is known."""

import polars as pl

from imaxray.pseudo import calibrate, filter_candidates, load_rules, write_pseudo


def test_the_precision_found_is_the_precision_put_in(dmax, lacking, fabricate, catalog):
    made = fabricate(lacking, 0.7, seed=1)
    done = filter_candidates(made, dmax, truth=catalog.entries)
    total = done.yields.filter(pl.col("task") == "all").row(0, named=True)
    assert total["kept"] == total["candidates"] == made.height
    assert total["judged"] > 0.95 * made.height
    assert total["low"] <= 0.7 <= total["high"]


def test_all_four_filters(dmax, lacking, fabricate, catalog, tmp_path):
    made = fabricate(lacking, 0.7, seed=1)
    rules = load_rules()
    calibration = fabricate(dmax.tables.split("val"), 0.95, seed=2)
    thresholds = calibrate(calibration, dmax.tables.entries, 0.8)
    done = filter_candidates(made, dmax, thresholds=thresholds, rules=rules, truth=catalog.entries)
    pl.Config.set_tbl_rows(80)
    pl.Config.set_tbl_cols(20)
    print([t.says for t in thresholds.tasks.values()])
    print(done.yields, done.rules, done.equal_yield)
    out = write_pseudo(dmax, done.kept, tmp_path / "out", dropped=done.dropped)
    print((tmp_path / "out" / "README.md").read_text())
    assert out.verify() == []
