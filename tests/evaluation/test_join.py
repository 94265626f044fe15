"""Tests which entries predictions answer: by id, or by image, task and question."""

import json
import subprocess
import sys

import orjson
import polars as pl
import pytest

from imaxray.boxes import PER_MILLE, PERCENT
from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import (
    ScoreConfig,
    join_predictions,
    read_predictions,
    score_run,
    why_not_joined,
)

QUICK = ScoreConfig(resamples=100)


@pytest.fixture(scope="module")
def dataset(phantom_releases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "catalog"
    write_dataset(build_catalog(phantom_releases, verify=False), folder, config={}, seed=0)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def answers(dataset):
    """Perfect answers to the test entries: the entry, its question as the model saw it, text."""
    tables = dataset.tables
    sizes = {i: (w, h) for i, w, h in tables.images.select("image_id", "width", "height").rows()}
    rows = []
    for entry in tables.split("test").iter_rows(named=True):
        asked = entry["prompt"].count("<box>")
        size = sizes[entry["image_id"]]
        rows.append({
            "entry_id": entry["entry_id"], "image": entry["image_id"], "task": entry["task"],
            "question": PER_MILLE.fill(entry["prompt"], entry["boxes"][:asked], *size),
            "text": PER_MILLE.fill(entry["target"], entry["boxes"][asked:], *size),
        })  # fmt: skip
    return rows


def lines(path, rows):
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows) + b"\n")
    return path


def by_question(dataset, tmp_path, rows, convention=PER_MILLE):
    given = read_predictions(lines(tmp_path / "q.jsonl", rows), "question")
    return score_run(dataset, given, convention, QUICK)


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


def test_both_joins_give_the_same_scores(dataset, answers, tmp_path):
    """Questions whose boxes are written like other boxes of the image answer the same entries."""
    ids = read_predictions(lines(tmp_path / "i.jsonl", answers))
    plain = score_run(dataset, ids, PER_MILLE, QUICK)
    named = by_question(dataset, tmp_path, [without(row, "entry_id") for row in answers])
    assert plain.data["join"] == {
        "by": "entry_id", "predictions": len(answers), "joined": len(answers), "doubles": 0,
        "not_joined": {},
    }  # fmt: skip
    assert named.data["join"]["joined"] == len(answers)
    assert named.data["counts"]["missing"] == named.data["counts"]["unknown"] == 0
    assert named.data["decided_by"]["predictions"]["by"] == "question"
    keys = pl.DataFrame(answers).group_by("image", "task", "question").agg("entry_id")
    alone = keys.filter(pl.col("entry_id").list.len() == 1)["entry_id"].explode().to_list()
    assert len(alone) > 0.9 * len(answers)
    scores = [r.entries.filter(pl.col("entry_id").is_in(alone)) for r in (plain, named)]
    assert scores[0].equals(scores[1])
    # where two entries of an image ask the very same, the first answer counts for both
    assert named.data["counts"]["doubles"] == len(answers) - keys.height


def test_images_and_questions_in_other_spellings(dataset, answers, tmp_path):
    paths = dict(dataset.tables.images.select("image_id", "path").iter_rows())
    rows = []
    for k, row in enumerate(answers):
        path = paths[row["image"]]
        image = [row["image"], path, path.split("/")[-1].rsplit(".", 1)[0], f"/data/x/{path}"][
            k % 4
        ]
        question = [f"<image>\n{row['question']}", row["question"].upper(), row["question"]][k % 3]
        rows.append({"image_id": image, "prompt": question, "text": row["text"]})  # no task
    result = by_question(dataset, tmp_path, rows)
    assert result.data["join"]["not_joined"] == {} and result.data["counts"]["missing"] == 0


def test_a_question_without_the_words_of_its_template(dataset):
    tables = dataset.tables
    entry = tables.entries.filter(pl.col("prompt").str.ends_with(" Answer briefly."), split="train")
    entry = entry.row(0, named=True)
    bare = entry["prompt"].removesuffix(" Answer briefly.")
    asked = {"image": entry["image_id"], "task": "vqa", "question": bare, "text": "yes"}
    found = join_predictions(
        pl.DataFrame([asked]), tables.entries, tables.images, PERCENT, split="train", by="question"
    )
    assert entry["entry_id"] in found.table["entry_id"].to_list() and found.joined == 1


def test_what_does_not_join_is_counted_with_its_reason(dataset, answers, tmp_path):
    reg = [row for row in answers if row["task"] == "reg"]
    several = pl.DataFrame(reg).group_by("image").len().filter(pl.col("len") > 1)["image"][0]
    train = dataset.tables.split("train").row(0, named=True)
    good = next(row for row in answers if row["task"] == "calculation")
    raw = dataset.tables.entries.filter(image_id=several, task="reg")["prompt"][0]
    bad = [
        {**good, "image": "nobody.png"},
        {**good, "image": train["image_id"], "question": train["prompt"]},
        {**good, "task": "chat"},
        {**good, "question": "How are you?"},
        {"image": several, "task": "reg", "question": raw, "text": "mass"},  # which of the boxes?
        good,
        good,
    ]
    result = by_question(dataset, tmp_path, [without(row, "entry_id") for row in bad])
    join = result.data["join"]
    assert join["not_joined"] == {
        reason: {"count": 1, "first": [place]}
        for reason, place in [
            ("ambiguous-question", 5), ("other-split", 2), ("unknown-image", 1),
            ("unknown-question", 4), ("unknown-task", 3),
        ]
    }  # fmt: skip
    assert (join["predictions"], join["joined"], join["doubles"]) == (7, 2, 1)
    counts = result.data["counts"]
    assert (counts["predictions"], counts["unknown"], counts["doubles"]) == (7, 5, 1)
    assert counts["missing"] == len(answers) - 1
    sentences = why_not_joined(join["not_joined"])
    assert "1 prediction (number 1): the dataset has no image of this name." in sentences


def test_ids_of_another_split_are_told_from_unknown_ones(dataset, answers, tmp_path):
    train = dataset.tables.split("train")["entry_id"][0]
    rows = [*answers[:3], {"entry_id": train, "text": "x"}, {"entry_id": "nobody", "text": "x"}]
    result = score_run(
        dataset, read_predictions(lines(tmp_path / "p.jsonl", rows)), PER_MILLE, QUICK
    )
    assert result.data["join"]["not_joined"] == {
        "other-split": {"count": 1, "first": [4]}, "unknown-id": {"count": 1, "first": [5]},
    }  # fmt: skip


def test_a_name_that_several_images_have_joins_nothing(dataset, answers, tmp_path):
    tables = dataset.tables
    images = tables.images.with_columns(
        ("p" + pl.col("image_id").rank("dense").cast(pl.String) + "/1.png").alias("path")
    )
    question = answers[0]["question"]
    asked = [{"image": "1.png", "task": None, "question": question, "text": "1"},
             {"image": "p0/1.png", "task": None, "question": question, "text": "1"}]  # fmt: skip
    found = join_predictions(
        pl.DataFrame(asked), tables.entries, images, PERCENT, split="test", by="question"
    )
    assert found.reasons == {"ambiguous-image": [1], "unknown-image": [2]}


def test_every_form_of_file_says_the_same(dataset, answers, tmp_path):
    rows = [without(row, "entry_id") for row in answers[:20]]
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "p.parquet")
    frame.write_csv(tmp_path / "p.csv")
    lines(tmp_path / "p.jsonl", rows)
    found = [
        read_predictions(tmp_path / name, "question").table
        for name in ("p.parquet", "p.csv", "p.jsonl")
    ]
    assert found[0].equals(found[1]) and found[0].equals(found[2])


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_file_that_lacks_a_field_is_a_sentence(tmp_path, form):
    path = tmp_path / f"p.{form}"
    frame = pl.DataFrame({"image": ["a"], "text": ["x"]})
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[form](
        path
    )
    with pytest.raises(ImaxrayError, match="question or prompt"):
        read_predictions(path, "question")
    with pytest.raises(ImaxrayError, match="--join question"):
        read_predictions(path)
    frame = pl.DataFrame({"image": ["a", None], "question": ["b", "b"], "text": ["x", None]})
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[form](
        path
    )
    with pytest.raises(ImaxrayError, match=r"(row|line) 2"):
        read_predictions(path, "question")


def test_the_command_says_what_did_not_join(dataset, answers, tmp_path):
    rows = [without(row, "entry_id") for row in answers]
    rows[0] = {**rows[0], "question": "How are you?"}
    path = lines(tmp_path / "q.jsonl", rows)
    command = [sys.executable, "-m", "imaxray.cli", "score", str(path), "--data",
               str(dataset.folder), "--resamples", "100", "--boxes", "per-mille",
               "--join", "question"]  # fmt: skip
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True,
                          text=True, check=True)  # fmt: skip
    said = " ".join(done.stdout.split())
    assert (
        "Not joined: 1 prediction (number 1): no entry of the image in the split asks this." in said
    )
    data = json.loads((tmp_path / "out/result.json").read_text())
    assert data["join"]["by"] == "question" and data["join"]["joined"] == len(answers) - 1
    wrong = lines(tmp_path / "w.jsonl", [{**rows[0], "image": "nobody"}])
    failed = subprocess.run([command[0], *command[1:4], str(wrong), *command[5:]],
                            capture_output=True, text=True)  # fmt: skip
    assert failed.returncode == 2 and "no image of this name" in failed.stderr
