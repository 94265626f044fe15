"""Tests metrics of other packages: runs the code of docs/adding-a-metric.md."""

import re

import polars as pl
import pytest

from imaxray.boxes import PERCENT
from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.evaluation import score
from imaxray.evaluation.scoring import per_entry
from imaxray.metrics import list_extras, reasons_not_computed
from imaxray.tasks import get_task
from plugins import Page

PAGE = Page("a-metric")
MODULE, USE = PAGE.code


def test_a_metric_of_another_package_is_computed_where_asked_for(plug, phantom_releases):
    catalog = build_catalog(phantom_releases, verify=False)
    entries = catalog.split("test").filter(pl.col("task").is_in(["calculation", "grading"]))
    predictions = entries.select("entry_id", pl.lit("0.50").alias("text"))
    space = {"entries": entries, "predictions": predictions, "images": catalog.images,
             "convention": PERCENT}  # fmt: skip
    with pytest.raises(ImaxrayError, match="extra metrics, one of captions, radiology, but got"):
        exec(USE, space)
    plug(PAGE)
    exec(USE, space)
    rows = space["scores"].tasks["calculation"].statistics["RMSE"]
    golds = entries.filter(pl.col("task") == "calculation").sort("entry_id")["answer"]
    errors = (golds.cast(pl.Float64) - 0.5) ** 2
    metric = get_task("calculation").metric("RMSE")
    assert metric.of(rows) == pytest.approx(float(errors.mean()) ** 0.5)
    assert "RMSE" in per_entry(space["scores"]).columns
    plain = score(entries, predictions, catalog.images, PERCENT)
    assert "RMSE" not in plain.tasks["calculation"].statistics
    assert list(list_extras()) == ["captions", "radiology", "ratios"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("import numpy", "import no_such_package"), "ModuleNotFoundError"),
        (("ExtraMetrics({", "dict({"), r"no imaxray\.metrics\.ExtraMetrics"),
        (('{"calculation"', '{"guessing"'), "metrics of the task guessing"),
        (("(ROOT_MEAN_SQUARE,)", "(value,)"), "not all of"),
    ],
)
def test_an_unfit_extra_is_one_sentence(change, message, plug):
    assert MODULE.count(change[0]) == 1
    plug(PAGE, code=MODULE.replace(*change))
    with pytest.raises(ImaxrayError, match=f"ratios.*imaxray-ratio-metrics.*{message}"):
        list_extras()["ratios"]()


def test_an_unfit_extra_blocks_only_what_asks_for_it(plug, phantom_releases):
    plug(PAGE, code="import sys\n\nsys.exit(3)\n")
    assert list(list_extras()) == ["captions", "radiology", "ratios"]
    assert get_task("calculation").metric("MAE").name == "MAE"
    assert reasons_not_computed(())["ratios"] == "not asked for"
    catalog = build_catalog(phantom_releases, verify=False)
    entries = catalog.split("test").filter(pl.col("task") == "calculation").head(3)
    predictions = entries.select("entry_id", pl.lit("0.50").alias("text"))
    score(entries, predictions, catalog.images, PERCENT)
    with pytest.raises(ImaxrayError, match=r"ratios.*imaxray-ratio-metrics.*SystemExit: 3"):
        score(entries, predictions, catalog.images, PERCENT, extras=["ratios"])


def test_a_metric_that_raises_is_one_missing_metric_with_a_reason(plug, phantom_releases):
    catalog = build_catalog(phantom_releases, verify=False)
    entries = catalog.split("test").filter(pl.col("task") == "calculation").head(3)
    predictions = entries.select("entry_id", pl.lit("0.50").alias("text"))
    broken = (
        MODULE
        + '\nobject.__setattr__(ROOT_MEAN_SQUARE, "statistics", lambda gold, answer: {}["gone"])\n'
    )
    plug(PAGE, code=broken)
    said = r"imaxray-ratio-metrics, but its metric RMSE failed \(KeyError: 'gone'"
    with pytest.warns(UserWarning, match=said):
        found = score(entries, predictions, catalog.images, PERCENT, extras=["ratios"])
    assert set(found.failed) == {"calculation"} and set(found.failed["calculation"]) == {"RMSE"}
    assert re.search(said, found.failed["calculation"]["RMSE"])
    plain = score(entries, predictions, catalog.images, PERCENT)
    assert plain.failed == {} and found.tasks["calculation"].statistics.keys() == (
        plain.tasks["calculation"].statistics.keys()
    )
    assert found.table.equals(plain.table)


def test_a_metric_must_have_a_name_of_its_own(plug):
    plug(PAGE, code=MODULE.replace('name="RMSE"', 'name="MAE"'))
    with pytest.raises(ImaxrayError, match="MAE comes twice"):
        get_task("calculation").extra_metrics("ratios")


def test_a_name_of_ours_stays_ours(plug, capsys):
    plug(PAGE, points={"captions": "ratio_metrics:EXTRA"})
    assert list(list_extras()) == ["captions", "radiology"]
    assert "The built-in metric captions is used" in capsys.readouterr().err
