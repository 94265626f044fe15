"""Tests scoring of predictions from other programs: counts, files and the command."""

import json
import subprocess
import sys
from dataclasses import replace

import orjson
import polars as pl
import pytest

from imaxray._common.state import known_state
from imaxray.boxes import PERCENT
from imaxray.cli.printing.scores import print_result
from imaxray.curation import CleaningConfig, build_catalog, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import (
    EvaluateConfig,
    ScoreConfig,
    compare,
    compare_groups,
    constant_baseline,
    read_predictions,
    score,
    score_run,
    subgroups,
    write_result,
)
from imaxray.evaluation.baseline import majority_baseline
from imaxray.evaluation.scoring import point
from imaxray.metrics import NORMALISATION, missing_for_captions
from imaxray.study.config import EvaluationConfig
from imaxray.tasks import READING_VERSION, RULES, all_tasks, get_task, to_json
from provenance import unsaid


@pytest.fixture(scope="module")
def dataset(phantom_releases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "catalog"
    write_dataset(build_catalog(phantom_releases, verify=False), folder, config={}, seed=0)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def answers(dataset):
    """Perfect answers to the test entries."""
    tables = dataset.tables
    sizes = {i: (w, h) for i, w, h in tables.images.select("image_id", "width", "height").rows()}
    rows = []
    for entry in tables.split("test").iter_rows(named=True):
        asked = entry["prompt"].count("<box>")
        text = PERCENT.fill(entry["target"], entry["boxes"][asked:], *sizes[entry["image_id"]])
        rows.append({"entry_id": entry["entry_id"], "text": text})
    return rows


def lines(path, rows):
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows) + b"\n")
    return path


def test_missing_unknown_and_doubles_are_counted(dataset, answers, tmp_path):
    rows = [
        *answers[2:],
        {"entry_id": answers[5]["entry_id"], "text": "another answer"},
        {"entry_id": "nobody", "text": "0.5"},
    ]
    rows[0] = {**rows[0], "text": None}
    result = score_run(
        dataset,
        read_predictions(lines(tmp_path / "p.jsonl", rows)),
        PERCENT,
        ScoreConfig(resamples=100),
    )
    assert result.data["counts"] == {
        "entries": len(answers), "predictions": len(answers), "missing": 2, "unknown": 1,
        "doubles": 1, "empty": 1, "long": 0,
    }  # fmt: skip
    assert result.entries["answer"].null_count() == 3
    by_id = dict(result.entries.select("entry_id", "score").iter_rows())
    assert set(by_id) == {row["entry_id"] for row in answers}
    kept = dict(result.entries.select("entry_id", "text").iter_rows())
    assert kept[answers[5]["entry_id"]] == answers[5]["text"]  # the first counts


def test_reading_rules_are_counted_for_each_task(dataset, answers, tmp_path):
    wrapped = [{**row, "text": f"<think>a</think>{row['text']}<|im_end|>"} for row in answers]
    predictions = read_predictions(lines(tmp_path / "p.jsonl", wrapped))
    plain = read_predictions(lines(tmp_path / "q.jsonl", answers))
    data = score_run(dataset, predictions, PERCENT, ScoreConfig(resamples=100)).data
    bare = score_run(dataset, plain, PERCENT, ScoreConfig(resamples=100)).data
    for task, unwrapped in zip(data["tasks"], bare["tasks"], strict=True):
        assert task["reading"].pop("thinking") == task["entries"]
        assert task["reading"].pop("end-marks") == task["entries"]
        assert task["metrics"] == unwrapped["metrics"]
        assert unwrapped["reading"] == task["reading"]
    rules = tuple(rule for rule in RULES if rule != "thinking")
    without = ScoreConfig(resamples=100, rules=rules)
    data = score_run(dataset, predictions, PERCENT, without).data
    assert all("thinking" not in task["reading"] for task in data["tasks"])
    assert "thinking" not in data["decided_by"]["reading_rules"]
    assert data["decided_by"]["reading"] == READING_VERSION


def test_files_hold_every_number_and_what_decided_it(dataset, answers, tmp_path):
    path = lines(tmp_path / "p.jsonl", answers)
    result = score_run(dataset, read_predictions(path), PERCENT, ScoreConfig(resamples=100))
    for folder in ("one", "two"):
        write_result(result, tmp_path / folder)
    for name in ("result.json", "scores.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    data = json.loads((tmp_path / "one" / "result.json").read_text())
    decided = data["decided_by"]
    assert decided["dataset"]["sha256"] == dataset.sha256
    assert decided["dataset"]["text_cleaning"] == CleaningConfig().model_dump(mode="json")
    assert unsaid(decided) == []
    assert decided["labeller"]
    assert "tok:13a" in decided["tokenisers"]["BLEU"]
    assert decided["packages"]["sacrebleu"]
    assert decided["boxes"]["name"] == "percent"
    assert set(data["not_computed"]) == {"captions", "radiology"}
    assert [task["task"] for task in data["tasks"]] == [task.name for task in all_tasks()]
    for task, of_task in zip(data["tasks"], all_tasks(), strict=True):
        assert [m["name"] for m in task["metrics"]] == [m.name for m in of_task.metrics]
        assert task["invalid"] == 0.0
        for metric in task["metrics"]:
            assert metric["low"] is None or metric["low"] <= metric["value"] <= metric["high"]
            # the answers are the targets
            assert metric["baselines"]["ceiling"] == pytest.approx(metric["value"])
    assert sum(map(sum, data["tasks"][2]["confusion"]["counts"])) == data["tasks"][2]["entries"]
    table = pl.read_parquet(tmp_path / "one" / "scores.parquet")
    for task, of_task in zip(data["tasks"], all_tasks(), strict=True):
        mean = table.filter(task=of_task.name)["score"].mean()
        if of_task.name not in ("grading", "findings"):  # macro F1 is no mean of entries
            assert mean == pytest.approx(task["metrics"][0]["value"])
        assert table.filter(pl.col("task") != "grading")["QWK"].null_count() > 0


def test_one_looping_answer_costs_no_other_score(dataset, answers, tmp_path):
    """63,000 characters once ended METEOR's program, and with it the whole command."""
    by_id = dict(dataset.tables.entries.select("entry_id", "task").iter_rows())
    place = next(k for k, row in enumerate(answers) if by_id[row["entry_id"]] == "report")
    rows = list(answers)
    rows[place] = {**rows[place], "text": ("FINDINGS: " + "The heart is large. " * 3200)[:63_000]}
    given = read_predictions(lines(tmp_path / "p.jsonl", rows))
    lacking = missing_for_captions()
    extras = () if lacking else ("captions",)
    result = score_run(dataset, given, PERCENT, ScoreConfig(resamples=100, extras=extras))
    assert result.data["counts"]["long"] == 1 and result.data["failed"] == {}
    names = {t["task"]: {m["name"]: m["value"] for m in t["metrics"]} for t in result.data["tasks"]}
    assert names["report"]["ROUGE-L"] > 0.9
    if not lacking:
        assert names["report"]["METEOR"] > 0.5 and names["reg"]["METEOR"] > 0.9


def test_a_metric_that_fails_is_one_missing_metric(dataset, answers, tmp_path, monkeypatch, capsys):
    """Everything else stands: scores, intervals, groups, files and the printed table."""

    def broken(golds, given):
        raise RuntimeError("no memory\nis left")

    given = read_predictions(lines(tmp_path / "p.jsonl", answers))
    plain = score_run(dataset, given, PERCENT, ScoreConfig(resamples=100))
    task = get_task("reg")
    changed = tuple(
        replace(m, whole=broken) if m.name in ("BLEU-4", "exact match") else m for m in task.metrics
    )
    monkeypatch.setattr(type(task), "metrics", changed)
    with pytest.warns(UserWarning, match="BLEU-4 of reg could not be computed.*no memory is left"):
        result = score_run(dataset, given, PERCENT, ScoreConfig(resamples=100))
    reason = "RuntimeError: no memory is left"
    assert result.data["failed"] == {"reg": {"exact match": reason, "BLEU-4": reason}}
    assert plain.data["failed"] == {}
    gone = {"BLEU-4", "exact match"}
    assert "exact match" in plain.entries.columns  # BLEU-4 is a metric of reports, too
    assert "exact match" not in result.entries.columns
    for before, after in zip(plain.data["tasks"], result.data["tasks"], strict=True):
        kept = [m for m in before["metrics"] if before["task"] != "reg" or m["name"] not in gone]
        assert after["metrics"] == kept
    assert result.data["groups"].keys() == plain.data["groups"].keys()
    write_result(result, tmp_path / "out")
    print_result(result.data)
    assert f"Could not be computed: BLEU-4 of reg ({reason})" in capsys.readouterr().out


def test_a_failure_of_the_primary_metric_is_no_silence(dataset, answers, monkeypatch):
    def broken(golds, given):
        raise RuntimeError("broken")

    task = get_task("reg")
    first, *rest = task.metrics
    monkeypatch.setattr(type(task), "metrics", (replace(first, whole=broken), *rest))
    with pytest.raises(RuntimeError, match="broken"):
        score(dataset.tables.split("test"), pl.DataFrame(answers), dataset.tables.images, PERCENT)


def test_the_normalisation_reaches_every_score_and_is_recorded(dataset, answers, tmp_path):
    """Answers that differ from their targets only in a way that one of the two rules forgives."""
    regions = dataset.tables.split("test").filter(pl.col("task") == "reg")
    changed = dict(regions.select("entry_id", pl.col("target") + " of 15 mm").iter_rows())
    golds = {e: to_json([f"{t} of 1.5 cm"]) for e, t in regions.select("entry_id", "target").rows()}
    entries = regions.with_columns(
        pl.col("entry_id").replace_strict(golds, return_dtype=pl.String).alias("answer")
    )
    predictions = pl.DataFrame({"entry_id": list(changed), "text": list(changed.values())})
    found = {
        name: score(entries, predictions, dataset.tables.images, PERCENT, normalisation=name)
        for name in ("radiology", "squad")
    }
    exact = get_task("reg").metric("exact match")
    values = {name: point(s.tasks["reg"], exact) for name, s in found.items()}
    assert values == {"radiology": 1.0, "squad": 0.0}
    assert found["squad"].table["score"].max() < 1.0 == found["radiology"].table["score"].min()
    default = score(entries, predictions, dataset.tables.images, PERCENT)
    assert default.table.equals(found[NORMALISATION].table)
    for baseline in (constant_baseline, majority_baseline):
        args = (entries, entries, dataset.tables.images)
        first, second = (baseline(*args, name).table["score"] for name in values)
        assert not first.equals(second)

    given = read_predictions(lines(tmp_path / "p.jsonl", answers))
    assert ScoreConfig().normalisation == NORMALISATION == "radiology"
    assert EvaluateConfig().normalisation == EvaluationConfig().normalisation == NORMALISATION
    data = score_run(
        dataset, given, PERCENT, ScoreConfig(resamples=100, normalisation="squad")
    ).data["decided_by"]
    assert data["normalisation"] == "squad"
    assert data["tokenisers"]["token F1"] == "squad normalisation"


def test_groups_part_the_entries(dataset, answers):
    tables = dataset.tables
    test = tables.split("test")
    groups = subgroups(test, tables.images)
    assert list(groups) == ["view", "sex", "age", "source", "tasks of the image"]
    for values in groups.values():
        ids = [entry for members in values.values() for entry in members]
        assert sorted(ids) == sorted(test["entry_id"])
    scores = score(test, pl.DataFrame(answers), tables.images, PERCENT)
    parts = compare_groups({"a": scores}, groups, reference="a", resamples=100)
    entries = [
        sum(row["entries"] for row in part.as_dict()["tasks"]) for part in parts["sex"].values()
    ]
    assert sum(entries) == test.height


def test_age_and_density_bands():
    entries = pl.DataFrame(
        {"entry_id": [f"e{k}" for k in range(7)], "image_id": [f"i{k}" for k in range(7)],
         "task": ["reg"] * 7}
    )  # fmt: skip
    images = pl.DataFrame(
        {"image_id": [f"i{k}" for k in range(7)], "view": ["PA"] * 6 + [None], "sex": ["F"] * 7,
         "age": [39, 40, 59, 60, 79, 80, None], "source": ["s"] * 7}
    )  # fmt: skip
    every = pl.DataFrame(
        [(f"i{k}", task) for k in range(7) for task in ["reg", "rec", "vqa", "a", "b"][:k or 1]],
        schema=["image_id", "task"], orient="row",
    )  # fmt: skip
    groups = subgroups(entries, images, all_entries=every)
    assert groups["age"] == {"40-59": ["e1", "e2"], "60-79": ["e3", "e4"], "80+": ["e5"],
                             "<40": ["e0"], "unknown": ["e6"]}  # fmt: skip
    assert groups["tasks of the image"] == {
        "1": ["e0", "e1"], "2": ["e2"], "3-4": ["e3", "e4"], "5+": ["e5", "e6"]
    }  # fmt: skip
    assert groups["view"] == {"PA": [f"e{k}" for k in range(6)], "unknown": ["e6"]}


def test_seeds_are_averaged(dataset, answers):
    tables = dataset.tables
    test = tables.split("test").filter(pl.col("task") == "reg")
    good = score(test, pl.DataFrame(answers), tables.images, PERCENT)
    nothing = test.select("entry_id", pl.lit("").alias("text"))
    bad = score(test, nothing, tables.images, PERCENT)
    found = compare({"a": [good, bad], "b": good}, reference="a", resamples=200).as_dict()
    row = found["tasks"][0]
    assert row["arms"]["a"]["value"] == pytest.approx(0.5)
    assert row["arms"]["a"]["invalid"] == pytest.approx(0.5)
    assert row["arms"]["a"]["low"] < 0.3 < 0.7 < row["arms"]["a"]["high"]
    assert found["seeds"] == {"a": 2, "b": 1}
    # LibMTL's formula: (B - N) / B with the sign of the metric, 0.5 -> 1
    assert row["gains"]["b"]["value"] == pytest.approx(1.0)
    assert row["p_holm"]["b"] == row["p"]["b"] < 0.05
    with pytest.raises(ImaxrayError, match="at least one seed"):
        compare({"a": []}, reference="a")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"entry_id": "a", "text": "x"}\nnot json\n', "line 2 is not JSON"),
        (b'{"text": "x"}\n', "line 1 has none"),
        (b'{"entry_id": "a"}\n', "model's answer as text"),
        (b'{"entry_id": "a", "text": 3}\n', "model's answer as text"),
        (b"[1]\n", "text entry_id"),
    ],
)
def test_damaged_json_lines_are_a_sentence(content, match, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    with pytest.raises(ImaxrayError, match=match):
        read_predictions(path)


def test_damaged_parquet_is_a_sentence(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(ImaxrayError, match="does not exist"):
        read_predictions(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(ImaxrayError, match="cannot be read"):
        read_predictions(path)
    pl.DataFrame({"entry_id": ["a"], "answer": ["x"]}).write_parquet(path)
    with pytest.raises(ImaxrayError, match="text column text"):
        read_predictions(path)


def test_other_ids_and_extras_are_a_sentence(dataset, tmp_path):
    other = read_predictions(lines(tmp_path / "p.jsonl", [{"entry_id": "x", "text": "1"}]))
    with pytest.raises(ImaxrayError, match="none of the 1 predictions"):
        score_run(dataset, other, PERCENT)
    with pytest.raises(ImaxrayError, match="captions, radiology, but got bleurt"):
        score_run(dataset, other, PERCENT, ScoreConfig(extras=["bleurt"]))
    with pytest.raises(ImaxrayError, match="a split"):
        score_run(dataset, other, PERCENT, ScoreConfig(split="dev"))


def test_radeval_absent_is_a_sentence(dataset, answers, tmp_path):
    from imaxray.metrics import missing_for_radiology

    if missing_for_radiology() is None:
        pytest.skip("RadEval is installed")
    path = lines(tmp_path / "p.jsonl", answers)
    with pytest.raises(ImaxrayError, match=r"install imaxray\[radiology\]"):
        score_run(dataset, read_predictions(path), PERCENT, ScoreConfig(extras=["radiology"]))


def test_the_truth_of_a_phantom_is_a_ceiling(dataset, answers, phantom_root, tmp_path):
    path = lines(tmp_path / "p.jsonl", answers)
    truth = phantom_root / "truth"
    result = score_run(
        dataset, read_predictions(path), PERCENT, ScoreConfig(truth=truth, resamples=100)
    )
    found = result.data["truth"]
    assert set(found) == {"calculation", "grading", "findings", "rec"}
    assert found["calculation"]["MAE"] < 0.02
    assert found["findings"]["micro F1"] > 0.95
    assert 0.5 < found["rec"]["mean IoU"] <= 1.0  # readers draw boxes a little off
    assert found["rec"]["entries"] < result.data["tasks"][4]["entries"]  # no truth of anatomy
    with pytest.raises(ImaxrayError, match="truth of a phantom"):
        score_run(
            dataset, read_predictions(path), PERCENT, ScoreConfig(truth=tmp_path, resamples=100)
        )


def test_the_command(dataset, answers, tmp_path):
    pl.DataFrame(answers).write_parquet(tmp_path / "predictions.parquet")
    command = [sys.executable, "-m", "imaxray.cli", "score", str(tmp_path), "--data",
               str(dataset.folder), "--resamples", "100"]  # fmt: skip
    done = subprocess.run([*command, "--format", "json", "--out", str(tmp_path / "out")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert json.loads(done.stdout) == known_state(tmp_path / "out" / "result.json")
    assert json.loads(done.stdout)["decided_by"]["normalisation"] == NORMALISATION
    plain = subprocess.run([*command, "--format", "json", "--normalisation", "squad"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert json.loads(plain.stdout)["decided_by"]["normalisation"] == "squad"
    wrong = subprocess.run([*command, "--boxes", "furlongs"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("imaxray: Expected a box convention")


def test_letters_of_options_are_read_and_counted(dataset):
    """The answer and the gold answer may both name an option by its letter."""
    entries = dataset.tables.split("test").filter(task="vqa")[:4]
    prompt = "Which projection is shown? A. frontal B. lateral C. oblique"
    golds = [["lateral"], ["B"], ["(c)"], ["frontal"]]
    entries = entries.with_columns(
        pl.lit(prompt).alias("prompt"),
        pl.lit("vqa.closed.0").alias("template"),
        pl.Series("answer", [to_json({"closed": True, "answers": gold}) for gold in golds]),
    )
    texts = ["B", "Option B", "oblique", "C"]
    answers = entries.select("entry_id").with_columns(pl.Series("text", texts))
    scores = score(entries, answers, dataset.tables.images, PERCENT)
    order = dict(zip(entries["entry_id"], (1.0, 1.0, 1.0, 0.0), strict=True))
    assert dict(scores.table.select("entry_id", "score").iter_rows()) == order
    assert scores.reading == {"vqa": {"options": 3}}
    without = tuple(rule for rule in RULES if rule != "options")
    plain = score(entries, answers, dataset.tables.images, PERCENT, rules=without)
    assert plain.table["score"].sum() == 1.0  # only the letter that equals the letter
    assert "options" not in plain.reading["vqa"]
