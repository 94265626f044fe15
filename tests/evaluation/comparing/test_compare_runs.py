"""Tests comparisons of answers that are there already: folders, arms, groups and refusals."""

import json
import shutil
import subprocess
import sys

import orjson
import polars as pl
import pytest

from imaxray._common.files import sha256
from imaxray._common.state import known_state, write_state
from imaxray.boxes import PERCENT, find_convention
from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import (
    CompareConfig,
    ScoreConfig,
    compare,
    compare_answers,
    compare_arms,
    compare_groups,
    constant_baseline,
    read_predictions,
    score,
    score_run,
    subgroups,
    write_result,
)
from imaxray.evaluation.comparing.groups import box_sizes
from imaxray.evaluation.comparing.run_answers import read_run
from imaxray.tasks import reading_rules
from imaxray.training import weights_digest
from latex_tables import columns_of

FAST = {"resamples": 100}


@pytest.fixture(scope="module")
def dataset(phantom_releases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project") / "catalog"
    write_dataset(build_catalog(phantom_releases, verify=False), folder, config={}, seed=0)
    return open_dataset(folder)


def written(dataset, convention, spoil):
    """Answers to the test entries in a box convention; those that ``spoil`` names are wrong."""
    tables = dataset.tables
    sizes = {i: (w, h) for i, w, h in tables.images.select("image_id", "width", "height").rows()}
    rows = []
    for number, entry in enumerate(tables.split("test").iter_rows(named=True)):
        asked = entry["prompt"].count("<box>")
        text = convention.fill(entry["target"], entry["boxes"][asked:], *sizes[entry["image_id"]])
        wrong = spoil(number, entry)
        rows.append({"entry_id": entry["entry_id"], "text": "I cannot tell." if wrong else text})
    return rows


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows) + b"\n")
    return path


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
    """Folder of files of answers: a good arm with two seeds, a bad one, and one in per mille."""
    out = dataset.folder.parent / "answers"
    for name, spoil in (
        ("good-0", lambda n, e: n % 9 == 0), ("good-1", lambda n, e: n % 7 == 0),
        ("bad", lambda n, e: n % 2 == 0),
    ):  # fmt: skip
        lines(out / f"{name}.jsonl", written(dataset, PERCENT, spoil))
    per_mille = written(dataset, find_convention("per-mille"), lambda n, e: n % 9 == 0)
    lines(out / "per-mille.jsonl", per_mille)
    return out


def scored(dataset, path, **options):
    tables = dataset.tables
    test = tables.split("test")
    return score(test, read_predictions(path).table, tables.images, PERCENT, **options)


def test_files_give_the_numbers_of_compare(dataset, runs):
    found = compare_answers(
        [runs / "good-0.jsonl", runs / "good-1.jsonl"], [runs / "bad.jsonl"], dataset,
        CompareConfig(**FAST, seed=3),
    )  # fmt: skip
    tables = dataset.tables
    constant = constant_baseline(tables.split("train"), tables.split("test"), tables.images)
    good = [scored(dataset, runs / f"good-{seed}.jsonl") for seed in (0, 1)]
    wanted = compare(
        {"bad": scored(dataset, runs / "bad.jsonl"), "good-0": good}, reference="bad",
        constant=constant, seed=3, resamples=100,
    )  # fmt: skip
    assert found.comparison.as_dict() == wanted.as_dict()
    assert found.comparison.data["seeds"] == {"bad": 1, "good-0": 2}
    assert found.remarks == []
    assert found.comparison.verdict().startswith("good-0 is ahead of bad: ")


def test_a_result_folder_keeps_its_boxes_and_reading_rules(dataset, runs, tmp_path):
    """What `imaxray score` wrote is scored again as it was, though the default would read other."""
    rules = reading_rules(without=["refusals"])
    result = score_run(
        dataset, read_predictions(runs / "per-mille.jsonl"), find_convention("per-mille"),
        ScoreConfig(resamples=100, rules=rules),
    )  # fmt: skip
    folder = dataset.folder.parent / "scored" / "mille"
    write_result(result, folder)
    for data in (dataset, None):  # without --data, its digest finds the dataset
        for path in (folder, folder / "result.json", folder / "scores.parquet"):
            found = compare_answers([path], [runs / "bad.jsonl"], data, CompareConfig(**FAST))
            arm = found.comparison.data["tasks"]
            assert list(arm[0]["arms"]) == ["bad", "mille"]
            for row, task in zip(arm, result.data["tasks"], strict=True):
                value = next(m["value"] for m in task["metrics"] if m["name"] == row["metric"])
                assert row["arms"]["mille"]["value"] == value
                assert row["arms"]["mille"]["invalid"] == task["invalid"]


def test_a_changed_dataset_is_not_found_by_its_place(dataset, runs, tmp_path):
    result = score_run(
        dataset, read_predictions(runs / "bad.jsonl"), PERCENT, ScoreConfig(resamples=100)
    )
    write_result(result, tmp_path / "scored")
    shutil.copytree(dataset.folder, tmp_path / "catalog")
    manifest = known_state(tmp_path / "catalog" / "manifest.json")
    manifest["files"]["images.parquet"] = "0" * 64
    write_state(tmp_path / "catalog" / "manifest.json", manifest)
    with pytest.raises(ImaxrayError, match=r"not there; name it with --data\.$"):
        compare_answers([tmp_path / "scored"], [runs / "bad.jsonl"])
    with pytest.raises(ImaxrayError, match=r"good-0.jsonl does not state its dataset; name it\.$"):
        compare_answers([runs / "good-0.jsonl"], [runs / "bad.jsonl"])


def test_other_metrics_are_compared_where_tasks_have_them(dataset, runs):
    found = compare_answers(
        [runs / "good-0.jsonl"], [runs / "bad.jsonl"], dataset,
        CompareConfig(**FAST, metric="mAP@0.5", by=("view",)),
    )  # fmt: skip
    (row,) = found.comparison.data["tasks"]
    assert (row["task"], row["metric"]) == ("rec", "mAP@0.5")
    assert "mean IoU" in row["others"] and "mAP@0.5" not in row["others"]
    each = scored(dataset, runs / "good-0.jsonl")
    share = 1 - each.tasks["rec"].statistics["invalid"][:, 0].mean()
    assert row["arms"]["good-0"]["value"] == pytest.approx(share)
    assert any(
        "calculation, findings, grading" in line for line in map(sorted_tasks, found.remarks)
    )
    assert {r["task"] for part in found.groups["view"].values() for r in part.data["tasks"]} == {
        "rec"
    }


def sorted_tasks(line):
    head, _, tasks = line.rpartition(": ")
    return f"{head}: {', '.join(sorted(tasks.rstrip('.').split(', ')))}"


def test_a_median_has_intervals_but_no_p_value(dataset, runs):
    found = compare_answers(
        [runs / "good-0.jsonl"], [runs / "bad.jsonl"], dataset,
        CompareConfig(**FAST, metric="median AE"),
    )  # fmt: skip
    (row,) = found.comparison.data["tasks"]
    assert row["p"]["good-0"] is None and row["p_holm"]["good-0"] is None
    assert row["arms"]["bad"]["low"] <= row["arms"]["bad"]["value"] <= row["arms"]["bad"]["high"]
    assert any("no p-value" in line for line in found.remarks)


@pytest.mark.parametrize(
    ("metric", "said"),
    [("bias", "bias of calculation is best at 0"), ("IoU", "mean IoU, Acc@0.5, mAP@0.5")],
)
def test_metrics_that_cannot_be_compared_are_refused(dataset, runs, metric, said):
    with pytest.raises(ImaxrayError, match=said):
        compare_answers(
            [runs / "good-0.jsonl"], [runs / "bad.jsonl"], dataset,
            CompareConfig(**FAST, metric=metric),
        )  # fmt: skip


def test_several_arms_and_all_formats(dataset, runs, tmp_path):
    arms = {
        "bad": [runs / "bad.jsonl"],
        "good_0": [runs / "good-0.jsonl"],
        "both 100 %": [runs / "good-0.jsonl", runs / "good-1.jsonl"],
    }
    found = compare_arms(
        arms, reference="good_0", data=dataset, config=CompareConfig(**FAST, by=("sex",))
    )
    assert found.comparison.data["arms"] == ["good_0", "bad", "both 100 %"]
    frame = found.to_frame()
    whole = frame.filter(pl.col("property").is_null())
    assert whole.height == 7 * 3 + 2  # a row per task and arm, and the mean of the other two
    assert whole.drop("property", "of").equals(found.comparison.to_frame())
    assert set(frame["of"].drop_nulls()) == set(found.groups["sex"])
    assert found.to_csv().count("\n") == frame.height + 1
    columns = columns_of(found.to_latex(), tmp_path)
    assert columns == [2 + 3 + 2 * 2] * (1 + len(found.groups["sex"]))
    with pytest.raises(ImaxrayError, match="name one of them"):
        found.comparison.gain("rec")
    formula = compare_arms(
        {"=1+1": arms["bad"], "b": arms["good_0"]}, reference="b", data=dataset,
        config=CompareConfig(**FAST),
    )  # fmt: skip
    assert ",'=1+1," in formula.to_csv() and ",=1+1," not in formula.to_csv()
    assert ",=1+1," not in formula.comparison.to_csv()
    gain = found.comparison.gain("rec", "bad")
    row = whole.filter(task="rec", arm="bad")
    assert gain == {key: row[f"gain{end}"].item() for key, end in
                    (("value", ""), ("low", "_low"), ("high", "_high"))}  # fmt: skip
    cell = found.comparison.data["tasks"][4]["differences"]["bad"]
    assert row["difference_high"].item() == cell["high"]


def test_groups_have_the_constant_of_their_entries(dataset, runs):
    tables = dataset.tables
    entries = tables.split("test")
    found = compare_answers(
        [runs / "good-0.jsonl"], [runs / "bad.jsonl"], dataset,
        CompareConfig(**FAST, by=("age", "box-size")),
    )  # fmt: skip
    groups = subgroups(entries, tables.images)
    constant = constant_baseline(tables.split("train"), entries, tables.images)
    arms = {name: scored(dataset, runs / f"{name}.jsonl") for name in ("bad", "good-0")}
    wanted = compare_groups(
        arms, {"age": groups["age"]}, reference="bad", constant=constant, resamples=100
    )
    assert {k: v.as_dict() for k, v in found.groups["age"].items()} == {
        k: v.as_dict() for k, v in wanted["age"].items()
    }
    assert all(row["constant"] is not None for part in found.groups["age"].values()
               for row in part.data["tasks"])  # fmt: skip
    boxed = entries.filter(pl.col("boxes").list.len() > 0)
    assert any(f"box-size covers {boxed.height:,} of" in line for line in found.remarks)


def test_sizes_of_boxes_are_shares_of_the_image():
    entries = pl.DataFrame(
        {
            "entry_id": ["a", "b", "c", "d", "e"],
            "image_id": ["i"] * 5,
            "boxes": [
                [[0.0, 0.0, 10.0, 19.0]], [[0.0, 0.0, 10.0, 20.0]], [[0.0, 0.0, 50.0, 20.0]], [],
                [[0.0, 0.0, 100.0, 20.0], [0.0, 0.0, 1.0, 1.0]],  # the mean of two boxes
            ],
        }
    )  # fmt: skip
    images = pl.DataFrame({"image_id": ["i"], "width": [100], "height": [100]})
    assert box_sizes(entries, images) == {"<2%": ["a"], "2%-10%": ["b"], ">=10%": ["c", "e"]}


def test_unequal_answers_are_refused_with_both_differences(dataset, runs, tmp_path):
    rows = written(dataset, PERCENT, lambda n, e: False)
    ids = sorted(row["entry_id"] for row in rows)
    a = lines(tmp_path / "a.jsonl", [row for row in rows if row["entry_id"] not in ids[:2]])
    b = lines(tmp_path / "b.jsonl", [row for row in rows if row["entry_id"] not in ids[5:8]])
    with pytest.raises(ImaxrayError) as error:
        compare_answers([a], [b], dataset, CompareConfig(**FAST))
    said = str(error.value)
    assert f"2 only by b (first: {ids[0]}) and 3 only by a (first: {ids[5]})" in said
    strange = lines(tmp_path / "c.jsonl", [*rows, {"entry_id": "x-1", "text": "yes"}])
    whole = lines(tmp_path / "d.jsonl", rows)
    with pytest.raises(ImaxrayError, match=r"1 only by c \(first: x-1\) was;"):
        compare_answers([strange], [whole], dataset, CompareConfig(**FAST))


def test_what_is_not_used_is_counted(dataset, runs, tmp_path):
    rows = written(dataset, PERCENT, lambda n, e: False)
    train = dataset.tables.split("train")["entry_id"][:3].to_list()
    more = [*rows, rows[0], *({"entry_id": entry, "text": "no"} for entry in train)]
    more[1] = {**more[1], "text": None}
    a, b = lines(tmp_path / "a.jsonl", more), lines(tmp_path / "b.jsonl", rows)
    found = compare_answers([a], [b], dataset, CompareConfig(**FAST))
    assert [line.replace(str(a), "A") for line in found.remarks] == [
        "3 answers of A are to other splits.",
        "1 answers of A repeat an id; the first counts.",
        "1 answers of A are empty and count as wrong.",
    ]


def test_answers_of_other_weights_are_not_taken_for_those_of_a_run(tmp_path):
    """The answers of a run are those of the weights that its manifest names."""
    for name, content in (("one", "weights of one"), ("two", "weights of two")):
        model = tmp_path / name / "model"
        (folder := tmp_path / name / "evaluation" / "imax-test").mkdir(parents=True)
        model.mkdir()
        (model / "config.json").write_text("{}")
        (model / ".imaxray-digests.json").write_text("{}")
        (model / "model.safetensors").write_text(content)
        files = {f"model/{path.name}": sha256(path) for path in model.glob("[!.]*")}
        write_state(tmp_path / name / "run.json", {"files": files})
        pl.DataFrame({"entry_id": ["a"], "text": [name]}).write_parquet(
            folder / "predictions.parquet"
        )
        about = {"identity": {"model": {"weights": weights_digest(str(model))}, "dataset": "d"}}
        write_state(folder / "predictions.json", about)
    assert read_run(tmp_path / "one", None, "test").table["text"].to_list() == ["one"]
    shutil.rmtree(tmp_path / "one" / "model")  # weights may go once they have answered
    assert read_run(tmp_path / "one", None, "test").dataset == "d"
    shutil.rmtree(tmp_path / "one" / "evaluation")
    shutil.copytree(tmp_path / "two" / "evaluation", tmp_path / "one" / "evaluation")
    with pytest.raises(ImaxrayError, match="but they are those of other weights"):
        read_run(tmp_path / "one", None, "test")


def test_a_run_is_not_two_seeds(dataset, runs):
    path = runs / "good-0.jsonl"
    with pytest.raises(ImaxrayError, match="is named twice; name it once"):
        compare_answers([path, path], [runs / "bad.jsonl"], dataset)


def test_the_command_takes_all_runs_after_against(dataset, runs, tmp_path):
    def run(*args):
        return subprocess.run(
            [sys.executable, "-m", "imaxray.cli", "compare", *map(str, args), "--resamples", "100"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    good = [runs / "good-0.jsonl", runs / "good-1.jsonl"]
    data = ("--dataset", dataset.folder)
    said = run(runs / "bad.jsonl", "--against", *good, *data, "--format", "json")
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert told["seeds"] == {"good-0": 2, "bad": 1} and told["reference"] == "good-0"
    arms = run(
        "--arm", f"g={good[0]},{good[1]}", "--arm", f"b={runs / 'bad.jsonl'}", *data,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert arms.returncode == 0, arms.stderr
    assert "g is ahead of b" in arms.stdout
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [r["gains"]["b"] for r in written["tasks"]] == [r["gains"]["bad"] for r in told["tasks"]]
    for args, part in (
        (("--arm", "g", *data), "Expected --arm NAME=RUN,RUN, but got g"),
        (("--arm", f"g={good[0]}", *data), "only the arm g"),
        ((good[0], "--arm", f"g={good[1]}", *data), "but got both"),
        ((*data,), "name both"),
        ((good[0], "--against", good[1], "--reference", "x", *data), "leave it out"),
    ):
        wrong = run(*args)
        assert wrong.returncode == 2 and part in wrong.stderr, wrong.stderr
