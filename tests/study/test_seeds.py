"""Tests a small study with several seeds and dynamics: training is unchanged, work is kept."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from imaxray._common.files import write_parquet
from imaxray.dynamics import Gram, compare_runs
from imaxray.errors import ImaxrayError
from imaxray.study import StudyConfig, load_config, run_study, write_study_report
from imaxray.study.budget import compute_of
from imaxray.study.places import DYNAMICS
from imaxray.study.probes import crossed_is_measured, crossed_path, read_crossed
from imaxray.study.results.dynamics import study_dynamics
from imaxray.study.results.effective import effective_table
from imaxray.study.results.stored import read_outcome
from imaxray.study.units import Unit
from imaxray.study.work import do_unit

MINI = {
    "title": "Mini study of two seeds",
    "phantom": {"images": 260, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": {
        "image_size": 32, "patch_size": 16, "width": 16, "heads": 2, "vision_layers": 1,
        "text_layers": 1, "vocabulary": 400,
    },
    "training": {"entries_per_step": 12, "steps": 4, "log_every": 2, "save_every": 2},
    "evaluation": {"max_new_tokens": 4, "resamples": 100, "examples": 1},
    "seeds": [0, 5],
    "dynamics": {"probe": 28, "every": 24},
}  # fmt: skip
RUNS = ("dmax/seed-0", "dmax/seed-5", "imax/seed-0", "imax/seed-5")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("seeds") / "out"
    config = StudyConfig.model_validate(MINI)
    outcome = run_study(config, out)
    return config, out, outcome, write_study_report(outcome.out).read_text()


def test_seeds_move_weights_and_schedule_but_not_data(finished):
    _, out, outcome, _ = finished
    for arm in ("dmax", "imax", "imax (equal compute)"):
        first, second = (run["identity"] for run in outcome.only.runs[arm])
        assert [run["identity"]["seed"] for run in outcome.only.runs[arm]] == [0, 5]
        assert first["weights"] != second["weights"]
        assert first["schedule"] != second["schedule"]
    tokenizers = {(out / "init" / f"seed-{k}" / "tokenizer.json").read_bytes() for k in (0, 5)}
    assert len(tokenizers) == 1
    assert outcome.only.equal_entries.as_dict()["seeds"] == {"dmax": 2, "imax": 2}
    assert len(outcome.only.scores["imax"]) == 2


def test_equal_compute_is_counted_in_operations(finished):
    _, out, outcome, html = finished
    runs = outcome.only.runs
    mean = {a: sum(run["operations"] for run in runs[a]) / 2 for a in ("dmax", "imax")}
    decided = json.loads((out / "budgets" / "phantom--imax-equal-compute.json").read_text())
    assert decided["by"] == "operations" and decided["compute"] == mean
    assert decided["steps"] == round(4 * mean["dmax"] / mean["imax"])
    assert "as many floating-point operations as" in html and "for the time of" not in html
    older = {**runs["imax"][0]}
    del older["operations"]  # a run of an earlier version: then time decides, for both arms
    compute, by = compute_of({"dmax": runs["dmax"], "imax": [older]})
    assert by == "seconds" and compute["imax"] == older["cpu_seconds"]


def test_all_runs_are_probed_on_the_same_val_entries(finished):
    _, out, _, _ = finished
    val = set(pl.read_parquet(out / "imax" / "entries" / "val.parquet")["entry_id"])
    probes = pl.read_parquet(out / "dynamics" / "probes.parquet")
    chosen = probes.filter(probe="val")
    assert chosen.height == 28 and set(chosen["entry_id"]) <= val
    for run in RUNS:
        told = json.loads((out / "runs" / run / "dynamics" / "probe.json").read_text())
        assert told["entry_ids"] == chosen["entry_id"].to_list()
        grams = sorted((out / "runs" / run / "dynamics" / "gram").iterdir())
        assert [int(path.stem) for path in grams] == [0, 24, 48]
    assert not (out / "runs" / "imax-equal-compute" / "seed-0" / "dynamics").exists()


def test_crossed_probes_are_of_train_entries_with_equal_strata(finished):
    _, out, outcome, _ = finished
    probes = pl.read_parquet(out / "dynamics" / "probes.parquet")
    assert outcome.dynamics.not_made.keys() <= {"apart"}  # 28 images are many here
    made = [name for name in probes["probe"].unique() if name != "val"]
    assert {"imax-train-together", "dmax-train-together"} <= set(made)
    for name in made:
        role, _, draw = name.split("-")
        rows = probes.filter(probe=name)
        train = pl.read_parquet(out / role / "entries" / "train.parquet")
        assert set(rows["entry_id"]) <= set(train["entry_id"])
        other = probes.filter(probe=f"{'dmax' if role == 'imax' else 'imax'}-train-{draw}")
        assert sorted(rows["stratum"]) == sorted(other["stratum"])
        if draw == "apart":
            assert rows["image_id"].is_unique().all()
    row = outcome.dynamics.crossed.filter(draw="together", reduction="sum", statistic="se")
    read = [
        [
            Gram.read(out / "runs" / model / "dynamics/crossed" / f"{probe}-train-together.parquet")
            for probe in ("imax", "dmax")
        ]
        for model in ("imax/seed-0", "imax/seed-5")
    ]
    from imaxray.dynamics import spectrum

    expected = np.mean([spectrum(of[1].matrix).se for of in read])
    assert row["imax_on_dmax"].item() == pytest.approx(expected, abs=1e-12)
    assert row["own"].item() == pytest.approx(row["model"].item() + row["probe"].item())


def test_the_contrast_is_that_of_the_recorded_runs(finished):
    _, out, outcome, _ = finished
    arms = [[out / "runs" / arm / f"seed-{k}" for k in (0, 5)] for arm in ("imax", "dmax")]
    expected = compare_runs(*arms)
    assert outcome.dynamics.contrast.equals(expected)
    first = expected.filter(entries_seen=0)
    assert (first["difference"] == 0).all()  # the same weights on the same probe


def test_weights_are_those_of_a_study_without_dynamics(finished, tmp_path):
    """And one seed keeps the folders it always had."""
    config, out, _, _ = finished
    plain = config.model_copy(update={"dynamics": None, "seeds": (5,)})
    (tmp_path / "out").mkdir()
    for part in ("releases", "catalog", "imax", "dmax", "match.json"):
        (tmp_path / "out" / part).symlink_to(out / part)
    outcome = run_study(plain, tmp_path / "out")
    assert outcome.dynamics is None
    for arm in ("dmax", "imax"):  # the steps of equal compute follow from the runs of all seeds
        probed = load_file(out / "runs" / arm / "seed-5" / "model" / "model.safetensors")
        alone = load_file(tmp_path / "out" / "runs" / arm / "model" / "model.safetensors")
        assert all(probed[name].equal(alone[name]) for name in probed), arm
    assert "not the choice of the one training" in write_study_report(outcome.out).read_text()


def test_a_finished_study_is_not_repeated(finished):
    config, out, outcome, _ = finished
    files = [p for run in RUNS for p in (out / "runs" / run).rglob("*") if p.is_file()]
    files += [out / "dynamics" / "contrast.parquet"]
    # digests of files that are younger than two seconds are taken again, and written again
    rewritten = {"scores.parquet", ".imaxray-digests.json"}
    before = {p: p.stat().st_mtime_ns for p in files if p.name not in rewritten}
    again = run_study(config, out)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert again.summary() == outcome.summary()


def test_a_measurement_of_another_run_is_not_used(finished):
    config, out, _, _ = finished
    first, second = (out / "runs" / "imax" / f"seed-{seed}" for seed in (0, 5))
    probes, name = out / "dynamics" / "probes.parquet", "imax-train-together"
    path = crossed_path(first, name)
    before = path.read_bytes()
    assert crossed_is_measured(probes, first)
    shutil.copyfile(crossed_path(second, name), path)  # of the same entries, by other weights
    assert Gram.read(path).ids == Gram.read(crossed_path(second, name)).ids
    with pytest.raises(ImaxrayError, match=r"missing or was changed; run the study again"):
        read_crossed(first, name)
    do_unit(config, out, Unit("train", "phantom", "imax", 0))
    assert path.read_bytes() == before and crossed_is_measured(probes, first)


def test_a_comparison_of_dynamics_that_was_changed_is_made_again(finished):
    config, out, outcome, _ = finished
    kept = out / "dynamics" / "contrast.parquet"
    write_parquet(kept, pl.read_parquet(kept).with_columns(pl.col("difference") + 1))
    assert study_dynamics(config, out).contrast.equals(outcome.dynamics.contrast)


def test_every_file_of_dynamics_is_claimed_before_it_is_written(finished):
    _, out, _, _ = finished
    written = {f"dynamics/{path.name}" for path in (out / "dynamics").iterdir()}
    assert written == set(DYNAMICS)


def test_the_report_tells_of_seeds_and_dynamics(finished):
    _, _, outcome, html = finished
    assert "not the choice of the one training" not in html
    assert "of the 2 training seeds per arm" in html
    for part in ("Training dynamics", "Crossed probes", "the paper states lower"):
        assert part in html
    assert html.count("Every arm is") == 1
    said = " ".join(outcome.dynamics.sentences())
    assert "Fewer than three seeds" in said
    assert all(line in outcome.dynamics.sentences() for line in outcome.dynamics.summary())


def test_the_effect_of_shared_images_is_part_of_the_dynamics(finished):
    """The tables come from measurements that the study has, and the report holds them."""
    _, out, outcome, html = finished
    shared = outcome.dynamics.shared
    assert set(shared.sharing["entries_seen"]) == {0, 48}
    assert {"imax/seed-0", "imax/seed-5"} == {
        "/".join(run.split("/")[-2:]) for run in shared.sharing["run"] if run != "mean"
    }
    assert shared.groups["entries"].unique().to_list() == [16]  # of a probe of 28 entries
    assert set(shared.power["statistic"]) == {"se", "rho", "h2"}
    if shared.effects.is_empty():  # too few images for 16 entries of different ones
        assert "at least 16 images" in shared.not_made["effects"]
    else:
        for row in shared.effects.iter_rows(named=True):
            parts = row["sampling"] + row["entry"] + row["training"]
            assert parts == pytest.approx(row["naive"])
    for name in ("sharing", "groups", "effects", "power"):
        table = getattr(shared, name)
        assert pl.read_csv(out / "dynamics" / f"{name}.csv", raise_if_empty=False).height == (
            table.height
        )
    assert read_outcome(out).dynamics.sentences() == outcome.dynamics.sentences()
    assert "Entries that share images" in html and "seeds for that" in html


def test_effective_entries_follow_from_density_and_correlation(finished):
    config, out, outcome, html = finished
    table = effective_table(config, out, outcome.only, outcome.dynamics.shared.sharing)
    assert set(table["arm"]) == {"dmax", "imax"}  # at equal entries
    last = table.filter(entries_seen=48, reduction="sum")
    images = pl.read_parquet(out / "imax" / "entries" / "train.parquet")["image_id"].to_list()
    sizes = [images.count(image) for image in images]
    row = last.filter(arm="imax").row(0, named=True)
    assert row["group"] == pytest.approx(np.mean(sizes))  # the image of a random entry
    assert row["entries"] == len(images) and row["images"] == len(set(images))
    icc = outcome.dynamics.shared.sharing.filter(
        run="mean", entries_seen=48, group="all", reduction="sum"
    )["icc"][0]
    assert row["design_effect"] == pytest.approx(1 + (np.mean(sizes) - 1) * icc)
    assert row["effective"] == pytest.approx(len(images) / row["design_effect"])
    assert row["gain"] == outcome.only.equal_entries.mean_gain("imax")["value"]
    assert last.filter(arm="dmax")["gain"].is_null().all()
    assert "Effective entries" in html


def test_a_study_of_an_earlier_version_says_so(finished, tmp_path):
    _, out, _, _ = finished
    copy = tmp_path / "out"
    shutil.copytree(out, copy, symlinks=True)
    for name in ("sharing", "groups", "effects", "power"):
        (copy / "dynamics" / f"{name}.csv").unlink()
    (copy / "dynamics" / "shared_images.json").unlink()
    assert read_outcome(copy).dynamics.shared.groups.is_empty()
    assert "The study is of an earlier version" in write_study_report(copy).read_text()


@pytest.mark.parametrize("seeds", [0, [], [1, 1], "many"])
def test_seeds_must_be_a_number_or_different_ones(seeds):
    with pytest.raises(ValidationError, match="seeds"):
        StudyConfig(title="x", seeds=seeds)


def test_the_shipped_study_has_three_seeds_and_dynamics():
    config = load_config("phantom-seeds")
    assert len(config.training_seeds) == 3 and config.dynamics is not None
    assert load_config("phantom").dynamics is None
    doses = [arm.tasks_per_image for arm in load_config("dose").arms.values()]
    assert doses == [None, 2, 3, 4, 5, 6, None]
