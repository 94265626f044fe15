"""Tests that derived statements win against answers of a model, and that none goes unseen."""

import polars as pl
import pytest

from imaxray.audit import CHECKS, audit_dataset
from imaxray.curation import open_dataset
from imaxray.derive import derive_dataset
from imaxray.pseudo import PSEUDO, write_pseudo
from imaxray.schema import IS_DERIVED, IS_PSEUDO, SOFT_FILE, conform, mark_derived
from imaxray.tasks import from_json, to_json


def answers(entries, change=lambda gold: gold):
    """Answers of a model to the questions of entries (schema PSEUDO), with distributions."""
    rows = []
    for entry in entries.iter_rows(named=True):
        gold = change(from_json(entry["answer"]))
        copied = ("image_id", "patient_id", "task", "prompt", "boxes", "template")
        rows.append({
            **{name: entry[name] for name in copied}, "pseudo_id": entry["entry_id"],
            "target": ", ".join(gold["answers"]), "answer": to_json(gold),
            "prompt_from": "template", "ended": True, "logprob": -0.1, "tokens": 1,
            "token_ids": [1], "top_ids": [1], "top_logprobs": [-0.1], "tokenizer": "t",
            "model": "m", "checkpoint": "0" * 64, "decoding": "{}", "round": 1,
        })  # fmt: skip
    return conform(pl.DataFrame(rows, schema={**PSEUDO, "prompt_from": pl.String}), PSEUDO)


def flipped(gold):
    return {**gold, "answers": ["no" if gold["answers"] == ["yes"] else "yes"]}


@pytest.fixture(scope="module")
def closed(dmax, tmp_path_factory):
    """Yes/no questions that rules derive."""
    made = derive_dataset(dmax.folder, tmp_path_factory.mktemp("first") / "derived").dataset
    entries = mark_derived(made.tables.entries).filter(pl.col(IS_DERIVED), pl.col("task") == "vqa")
    return entries.filter(pl.col("target").is_in(["yes", "no"])).sort("entry_id")


@pytest.fixture(scope="module")
def done(dmax, closed, tmp_path_factory):
    """A derivation of pseudo IMAX whose model answered questions that rules answer, too."""
    out = tmp_path_factory.mktemp("replaced")
    reworded = closed.with_columns(
        ("zz-" + pl.col("entry_id")).alias("entry_id"),
        pl.col("prompt").str.replace(r"^Is there ", "Do you see ").alias("prompt"),
    ).filter(
        # questions that are plain enough to contradict a label, not of one lung alone
        pl.col("prompt").str.contains(
            "^Do you see (?:consolidation|pulmonary edema|pneumothorax|pleural effusion)"
        ),
        ~pl.col("prompt").str.contains(" in the "),
    )
    kept = pl.concat([
        answers(closed.head(4), flipped),  # the same question
        answers(reworded[10:16], flipped),  # another question about the same finding
        answers(reworded[20:26]),  # the truth
    ])  # fmt: skip
    pseudo = write_pseudo(dmax, kept, out / "pseudo")
    return kept, pseudo, derive_dataset(pseudo.folder, out / "derived")


def test_a_derived_answer_and_a_derived_fact_win_and_are_counted(done):
    kept, _, made = done
    ids = kept["pseudo_id"].to_list()
    same, against, agreeing = ids[:4], ids[4:10], ids[10:]
    entries = made.dataset.tables.entries
    assert entries["entry_id"].is_unique().all()
    assert made.dataset.verify() == []
    left = set(entries.filter(pl.col(IS_PSEUDO))["entry_id"])
    assert left == set(agreeing)
    derived = mark_derived(entries).filter(pl.col(IS_DERIVED))["entry_id"]
    assert set(same) <= set(derived)
    assert made.counts["replaced"] == {"vqa": len(same) + len(against)}
    rejects = made.dataset.tables.rejects.filter(pl.col("source").cast(pl.String) == "pseudo")
    codes = dict(rejects.select("key", "code").cast(pl.String).iter_rows())
    wanted = dict.fromkeys(same, "pseudo-derived") | dict.fromkeys(against, "pseudo-contradicted")
    assert codes == wanted
    account = made.dataset.tables.account.filter(pl.col("source") == "pseudo").row(0, named=True)
    assert account["rows_in"] == account["kept"] + account["rejected"] == len(ids)
    assert account["kept"] == len(agreeing)


def test_what_goes_takes_its_annotations_and_distributions_along(done):
    _, pseudo, made = done
    left = made.dataset.tables.entries.filter(pl.col(IS_PSEUDO))
    facts = made.dataset.tables.annotations.filter(pl.col("origin") == "pseudo")
    assert sorted(facts["image_id"]) == sorted(left["image_id"])
    assert all(any(text in prompt for prompt in left["prompt"]) for text in facts["text"])
    soft = pl.read_parquet(made.dataset.folder / SOFT_FILE)
    assert set(soft["entry_id"]) == set(left["entry_id"])
    assert soft.height < pl.read_parquet(pseudo.folder / SOFT_FILE).height


def test_deriving_again_changes_nothing(done, tmp_path):
    made = done[2]
    again = derive_dataset(made.dataset.folder, tmp_path / "again")
    assert again.dataset.tables.entries.equals(made.dataset.tables.entries)
    assert again.dataset.tables.rejects.equals(made.dataset.tables.rejects)
    assert "replaced" not in again.counts


def test_the_audit_finds_nothing(done):
    pixels = [c.code for c in CHECKS if c.code.split("-")[0] in ("near", "same", "unreadable")]
    assert not audit_dataset(done[2].dataset.folder, skip=pixels).issues


def test_pseudo_imax_keeps_the_derivations(dmax, tmp_path):
    derived = derive_dataset(dmax.folder, tmp_path / "derived").dataset
    made = write_pseudo(derived, pl.DataFrame(schema=PSEUDO), tmp_path / "pseudo")
    name = "derivations.parquet"
    assert (made.folder / name).read_bytes() == (derived.folder / name).read_bytes()
    assert open_dataset(made.folder).verify() == []
