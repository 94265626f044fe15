"""Tests what the report of a study says: from its folder alone, complete, honest and escaped."""

import base64
import csv
import io
import itertools
import json
import re
import shutil
from importlib.resources import files

import polars as pl
import pytest

from imaxray._common.files import read_parquet, write_parquet
from imaxray._common.folders import claimed_digests
from imaxray._common.state import known_state, write_state
from imaxray._common.verifying import verify_folder
from imaxray.errors import ImaxrayError
from imaxray.report import Report, write_report
from imaxray.study import write_study_report
from imaxray.study.places import claim_study
from imaxray.study.reporting.answers import answers
from imaxray.study.reporting.front import verdict
from imaxray.study.reporting.images import images
from imaxray.study.reporting.material import Material
from imaxray.study.results.outcome import compare_study
from imaxray.study.results.stored import read_outcome
from latex_tables import columns_of
from study.made_study import FACTORS, SCRIPT, add_pseudo, made_study


@pytest.fixture(scope="module")
def page(report):
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def factors(made, tmp_path_factory):
    """A study of two models, data × layout, an untrained arm and pseudo IMAX."""
    folder = tmp_path_factory.mktemp("factors")
    add_pseudo(made[1], folder / "pseudo")
    out = folder / "out"
    shape = {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    }  # fmt: skip
    made_study(
        out, made[1], models={"one": {"phantom": shape}, "two": {"phantom": shape}},
        arms={**FACTORS, "imax, of a model": {"data": str(folder / "pseudo")}},
    )  # fmt: skip
    return write_study_report(out).read_text(encoding="utf-8"), out


def text_of(page):
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)[0]


def test_the_outcome_of_the_folder_is_that_of_the_comparison(made):
    from imaxray.study.results.outcome import compare_study

    config, out = made
    models, _ = compare_study(config, out)
    stored = read_outcome(out)
    assert stored.config.content() == config.content()
    assert stored.only.as_dict() == models["phantom"].as_dict()
    assert stored.only.clock.equals(models["phantom"].clock)


def test_the_first_screen_has_verdict_numbers_forest_and_arms(made, page):
    first = page[: page.index("<nav")]
    comparison = read_outcome(made[1]).only.equal_entries
    gain = comparison.mean_gain("imax")
    said = re.search(r'<p class="verdict">(.*?)</p>', first)[1]
    assert said.startswith("IMAX is ahead of DMAX at equal entries seen: mean relative gain +")
    assert f"{100 * gain['value']:+.1f}\N{NO-BREAK SPACE}%" in said and "at equal compute" in said
    assert first.count('<li class="card">') == 4
    assert f"<b>{100 * gain['value']:+.1f}\N{NO-BREAK SPACE}%</b>" in first
    forest = re.search(r"<svg.*?</svg>", first, re.DOTALL)[0]
    for task in ("calculation", "report", "grading", "findings", "rec", "reg", "vqa", "mean"):
        assert re.search(rf"<text[^>]*>{task}( \(|<)", forest), task
    assert "What was compared with what" in first and "entries of dmax" in first


def test_the_first_screen_explains_its_words(page):
    first = page[: page.index("<nav")]
    assert "IMAX has few images with many tasks each. DMAX, its control" in first
    explained = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", first))
    assert {"arm", "entry", "equal compute", "relative gain", "interval"} <= set(explained)
    assert "locate what a phrase names" in explained["task rec"]


def test_what_is_to_be_typed_is_code_and_numbers_stay_with_their_unit(page):
    assert "add a block <code>dynamics</code> to its configuration" in page
    paragraphs = " ".join(re.findall(r"<(?:p|li|figcaption)\b[^>]*>([^<]*)<", page))
    assert not re.search(r"\d %", paragraphs) and "\N{NO-BREAK SPACE}%" in paragraphs


def test_curves_at_equal_compute_are_over_what_was_equal(made, page, tmp_path):
    assert "over seconds of computing" in section(page, "learning")  # these runs counted none
    out = tmp_path / "out"
    shutil.copytree(made[1], out, symlinks=True)
    for path in (out / "runs").rglob("run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "operations": 96 * 10**12}))
    compare_study(made[0], out)
    said = section(write_study_report(out).read_text(encoding="utf-8"), "learning")
    assert "over 10¹² floating-point operations" in said
    assert "equal place on the axis of floating-point operations" in said
    assert "over seconds of computing" not in said


def test_the_verdict_says_so_when_the_reference_is_ahead(made, tmp_path):
    arms = {"dmax": {"data": "dmax"}, "imax": {"data": "imax"}}
    made_study(tmp_path / "out", made[1], reference="imax", arms=arms)
    said = verdict(Material(read_outcome(tmp_path / "out")))
    assert said.startswith("IMAX is ahead of DMAX at equal entries seen: mean relative gain -")


def test_the_same_folder_gives_the_same_bytes(made, page, tmp_path):
    again = write_study_report(made[1], tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == page


def test_titles_and_answers_with_html_are_shown_as_text(page):
    assert "<script" not in page and "onerror=alert(1)>" not in page
    shown = "&lt;script&gt;document.title"
    assert shown in section(page, "single")  # an invalid answer
    assert "A &lt;b&gt;made&lt;/b&gt; study &amp; &#34;its&#34; report" in page


def test_nothing_is_loaded_and_the_page_has_no_script(page):
    bare = re.sub(r'(?:xmlns(?::xlink)?|xlink:href)="[^"]*"', "", page)
    loaders = re.findall(r'\b(?:src|href)="((?!#|data:)[^"]*)"', bare)
    assert not loaders
    assert "@import" not in page and "<script" not in page
    assert "default-src 'none'" in page


def test_figures_are_svg_with_text_names_and_descriptions(page):
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert len(figures) >= 12
    for figure in figures:
        assert 'role="img"' in figure and "<image" not in figure
        assert "<text" in figure and "<figcaption>" in figure
        title, description = (
            re.search(rf'<{tag} id="[^"]*">(.*?)</{tag}>', figure, re.DOTALL)[1]
            for tag in ("title", "desc")
        )
        assert len(title) > 10 and len(description) > 20
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_table_is_there_as_csv_and_latex(page, tmp_path):
    links = dict(
        re.findall(r'download="([^"]+)" href="data:[^;]+;charset=utf-8;base64,([^"]+)"', page)
    )
    tables = page.count("<table ")
    assert tables > 15 and len(links) == 2 * tables
    for name, content in links.items():
        text = base64.b64decode(content).decode()
        if name.endswith(".csv"):
            rows = list(csv.reader(io.StringIO(text)))
            assert len(rows) > 1 and len({len(row) for row in rows}) == 1, name
        else:
            columns_of(text, tmp_path)
    results = pl.read_csv(io.BytesIO(base64.b64decode(links["results-equal-entries.csv"])))
    assert {"task", "arm", "value", "low", "high", "gain", "p_holm"} <= set(results.columns)
    assert results.filter(task="mean").height == 1


def test_bars_begin_at_zero():
    from imaxray.report.figures import grouped_bars, lying_bars, metric_bars

    cell = {"value": 0.9, "low": 0.85, "high": 0.95}
    row = {"task": "rec", "metric": "IoU", "higher_is_better": True, "constant": 0.8,
           "arms": {"dmax": cell}}  # fmt: skip
    bars = {"p": {"imax": {"a": 98.0, "b": 99.0}}}
    assert metric_bars({"tasks": [row], "arms": ["dmax"]}).axes[0].get_ylim()[0] == 0
    assert grouped_bars(bars, "%").axes[0].get_ylim()[0] == 0
    assert lying_bars(bars, "%").axes[0].get_xlim()[0] == 0


@pytest.mark.parametrize("wide", [0.5, 40.0])
def test_wide_intervals_lie_on_the_axis(wide):
    from imaxray.report.figures import Row, intervals

    narrow = {"value": 0.01, "low": -0.02, "high": 0.03}
    rows = [Row(str(n), {"imax": narrow}) for n in range(6)]
    rows.append(Row("wide", {"imax": {"value": 0.1, "low": -wide, "high": wide}}))
    axis = intervals(rows, "gain", zero="").axes[0]
    low, high = axis.get_xlim()
    assert low <= -wide and high >= wide
    assert axis.get_xscale() == ("linear" if wide < 12 * 0.03 else "symlog")


def test_arms_that_do_not_differ_leave_the_axis_linear_and_readable():
    """Ends at 0 say nothing about the size of the others."""
    from imaxray.report.figures import Row, intervals

    same = {"value": 0.0, "low": 0.0, "high": 0.0}
    rows = [Row(str(n), {"imax": same}) for n in range(6)]
    rows += [Row("one", {"imax": {"value": 0.5, "low": 0.0, "high": 1.0}}), Row("none", {})]
    figure = intervals(rows, "gain", zero="", scale=100)
    figure.canvas.draw()
    axis = figure.axes[0]
    assert axis.get_xscale() == "linear" and len(axis.get_xticks()) < 12
    assert [text.get_text() for text in axis.texts][-1] == "undefined"


def test_what_a_folder_lacks_is_named_in_one_line(made, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(made[1], out, symlinks=True)
    for path in (out / "runs").rglob("evaluations.jsonl"):
        path.unlink()
    (out / "runs" / "imax" / "evaluation" / "imax-test" / "scores.parquet").unlink()
    shutil.rmtree(out / "dmax")
    page = write_study_report(out).read_text()
    gaps = re.findall(r'<p class="missing"><b>Not shown: (.*?)</b> (.*?)</p>', page)
    assert {what.split(".")[0] for what, _ in gaps} >= {
        "Density", "The answers of both arms", "Examples", "Single answers", "The validation loss",
        "The dynamics of training", "The effect of the layout", "Methods",
    }  # fmt: skip
    assert all(len(why) > 20 and "\n" not in why for _, why in gaps)
    assert page.count("<figure>") > 5  # what is there is shown


CHANGED = (
    "study.yaml", "comparison.json", "match.json", "runs/imax/run.json", "runs/dmax/curve.jsonl",
    "runs/imax/evaluations.jsonl", "runs/dmax/evaluation/imax-test/scores.parquet",
    "runs/dmax/evaluation/imax-test/predictions.json", "units/compare.json",
)  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_file_that_was_changed_is_not_reported(made, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(made[1], out, symlinks=True)
    path = out / name
    if name.endswith("jsonl"):  # still valid
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    elif name.endswith("parquet"):
        write_parquet(path, read_parquet(path).reverse())
    elif name.endswith("yaml"):
        path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    else:
        content = known_state(path)
        content["seconds"] = 1
        write_state(path, content)
    wanted = rf"^Expected {re.escape(name)} in .* but it was changed; run the study again"
    with pytest.raises(ImaxrayError, match=wanted):
        write_study_report(out)
    assert verify_folder(out)[1][:1] == [name]


RECORDS = (
    "match.json", "imax/manifest.json", "runs/imax/run.json", "units/compare.json",
    "runs/dmax/evaluation/imax-test/predictions.json",
)  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_was_removed_is_missed(made, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(made[1], out, symlinks=True)
    assert verify_folder(out)[1] == []
    (out / name).unlink()
    assert verify_folder(out)[1] == [name]


def with_its_digest(path):
    write_state(path, {**known_state(path), "steps": 9})


def without_its_digest(path):
    path.write_text(json.dumps({**known_state(path), "steps": 9}))


def of_other_work(path):
    study = next(folder for folder in path.parents if (folder / "study.yaml").is_file())
    shutil.copy(study / "units" / "compare.json", path)


@pytest.mark.parametrize("edit", [with_its_digest, without_its_digest, of_other_work])
@pytest.mark.parametrize(
    "name", ["match.json", "runs/imax/run.json", "runs/imax/evaluation/imax-test/predictions.json"]
)
def test_a_study_does_not_go_on_from_an_edited_record(made, tmp_path, name, edit):
    out = tmp_path / "out"
    shutil.copytree(made[1], out, symlinks=True)
    path = out / name
    before = path.read_bytes()
    edit(path)
    with pytest.raises(ImaxrayError, match=rf"^Expected {re.escape(name)} in .*; put it back, or"):
        claim_study(out)
    path.write_bytes(before[:-9])  # cut, as its own digest tells, so that its work is done again
    claim_study(out)
    assert claimed_digests(out) == {}


def test_images_are_shown_only_where_allowed_or_asked(made, page):
    assert page.count('<li class="example">') == 3
    assert {"Worst", "Most", "Picked"} == set(
        re.findall(r'<p class="soft">(Worst|Most|Picked)', section(page, "examples"))
    )
    outcome = read_outcome(made[1])
    for parts in (images(Material(outcome, 0)), answers(Material(outcome, 0))):
        assert "--images NUMBER" in parts[-1].why and SCRIPT not in repr(parts)
    assert len(images(Material(outcome, 2))[-1].examples) == 2
    for example in images(Material(outcome))[-1].examples:
        assert {answer.arm for q in example.questions for answer in q.answers} == {
            "dmax", "imax", "imax (equal compute)",
        }  # fmt: skip


def test_methods_are_those_of_the_manifests(made, page):
    methods = text_of(section(page, "methods"))
    _, out = made
    assert "150 phantom radiographs (seed 2)" in methods
    assert "48 entries in steps of 12" in methods and "100 resamples" in methods
    assert "@misc{imax2025," in methods and "mimic-cxr-jpg," not in methods
    from imaxray.curation import density, open_dataset

    dense = density(open_dataset(out / "imax").tables)
    assert f"{dense.entries:,} train entries on {dense.images:,} images" in methods


def test_real_releases_are_cited():
    from imaxray.report.citing import _of_release
    from imaxray.sources import get_source

    cited = _of_release(get_source("mimic-cxr-jpg"))
    assert cited.startswith("@misc{mimic-cxr-jpg,\n  title = {MIMIC-CXR-JPG}")
    for part in ("author = {Johnson and others}", "year = {2024}", "eprint = {1901.07042}"):
        assert part in cited


def test_models_factors_and_pseudo_have_their_sections(factors):
    page, out = factors
    said = re.search(r'<p class="verdict">(.*?)</p>', page)[1]
    assert re.match(r"Over 2 models, .* at equal entries, above 0 for [0-2] of 2\.", said)
    assert "models-equal-entries-imax.csv" in section(page, "models")
    layout = text_of(section(page, "layout"))
    assert "dmax trains 2.00 times as many entries per second as dmax, separate" in layout
    origins = text_of(section(page, "origins"))
    assert "25 candidates are kept; dropped: below-threshold 15" in origins
    assert "ctr-cardiomegaly findings 7 5 0.800" in origins
    assert "Calibration of imax, of a model" in origins and "kept above 0.6" in origins
    assert "untrained" in section(page, "results")
    assert (out / "report.html").stat().st_size < 12e6


def test_a_folder_without_a_finished_study_is_refused(tmp_path, made):
    with pytest.raises(ImaxrayError, match="not a folder"):
        write_study_report(tmp_path / "nothing")
    with pytest.raises(ImaxrayError, match=r"no study\.yaml and no comparison\.json"):
        write_study_report(tmp_path)
    out = tmp_path / "out"
    shutil.copytree(made[1], out, symlinks=True)
    (out / "comparison.json").write_text('{"equal_entries": {}}')
    with pytest.raises(ImaxrayError, match="run the study again"):
        write_study_report(out)
    with pytest.raises(ImaxrayError, match="is a folder"):
        write_study_report(made[1], tmp_path)


def test_only_an_earlier_report_is_replaced(tmp_path, report):
    page = Report("Ours", "", [], [], [])
    for content in ("my thesis", "<html>", ""):
        mine = tmp_path / "mine.html"
        mine.write_text(content)
        with pytest.raises(ImaxrayError, match="another file, which is kept; name another file"):
            write_report(page, mine)
        assert mine.read_text() == content
    earlier = report.read_text().replace('<meta name="generator" content="imaxray">\n', "")
    for content in (report.read_text(), earlier):
        mine.write_text(content)
        write_report(page, mine)
        assert "Ours" in mine.read_text()


def test_colours_differ_for_every_form_of_colour_blindness():
    """By the matrices of Machado, Oliveira and Fernandes (2009), in CIE Lab."""
    import numpy as np

    css = files("imaxray.report").joinpath("style.css").read_text()
    light, dark = (
        {name: re.search(rf"--{name}: (#\w{{6}})", part)[1] for name in ("dmax", "imax", "ec")}
        for part in css.split("prefers-color-scheme: dark")[:2]
    )

    simulated = {
        "none": np.eye(3),
        "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                       [-0.003882, -0.048116, 1.051998]],
        "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                         [-0.011820, 0.042940, 0.968881]],
        "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                       [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722],
                       [0.0193, 0.1192, 0.9505]])  # fmt: skip

    def lab(linear):
        ratio = to_xyz @ np.clip(linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
        f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    def linear(code):
        value = np.array([int(code[n : n + 2], 16) / 255 for n in (1, 3, 5)])
        return np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)

    for palette in (light, dark):
        for name, matrix in simulated.items():
            seen = {arm: lab(np.array(matrix) @ linear(code)) for arm, code in palette.items()}
            for one, other in itertools.combinations(seen, 2):
                assert np.linalg.norm(seen[one] - seen[other]) > 20, (name, one, other)
