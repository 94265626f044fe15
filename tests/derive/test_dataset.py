"""Tests the folder with derived entries: train alone, marked, with provenance, the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest
from typer.testing import CliRunner

from imaxray._common.lock import sole_writer
from imaxray._common.verifying import verify_folder
from imaxray.audit import CHECKS, audit_dataset
from imaxray.cli import app
from imaxray.curation import open_dataset, write_dataset
from imaxray.derive import (
    Conclusion,
    DerivationRule,
    DeriveConfig,
    Fact,
    derive_dataset,
    derive_tables,
    run,
)
from imaxray.derive.rules.builtin import BUILT_IN
from imaxray.errors import ImaxrayError
from imaxray.export import share_dataset
from imaxray.schema import IS_DERIVED, mark_derived


@pytest.fixture(scope="module")
def done(dmax, catalog, tmp_path_factory):
    out = tmp_path_factory.mktemp("derived") / "out"
    return derive_dataset(dmax.folder, out, truth=catalog.folder)


def derived_of(dataset):
    return mark_derived(dataset.tables.entries).filter(IS_DERIVED)


def test_the_real_entries_stay_and_derived_ones_are_added_to_train(dmax, done):
    assert done.dataset.verify() == [] and done.dataset.manifest["role"] == "derived"
    entries = mark_derived(done.dataset.tables.entries)
    assert entries.filter(~pl.col(IS_DERIVED)).drop(IS_DERIVED).equals(dmax.tables.entries)
    made = entries.filter(IS_DERIVED)
    assert set(made["split"]) == {"train"} and made["sources"].to_list() == [["derived"]] * len(
        made
    )
    assert made["quality"].str.starts_with("derived/").all()
    assert {"vqa", "grading", "rec", "reg"} <= set(made["task"])
    assert done.counts["derived"] == dict(made.group_by("task").len().iter_rows())
    assert not made["entry_id"].is_in(dmax.tables.entries["entry_id"].implode()).any()


def test_every_derived_entry_names_the_entries_it_follows_from(dmax, done):
    made = derived_of(done.dataset)
    table = pl.read_parquet(done.dataset.folder / "derivations.parquet")
    assert sorted(table["entry_id"]) == sorted(made["entry_id"])
    # an entry follows from its own image, or from another view of the study
    patients = dict(dmax.tables.entries.select("entry_id", "patient_id").iter_rows())
    of = dict(made.select("entry_id", "patient_id").iter_rows())
    for entry, rule, depth, origins in table.iter_rows():
        assert depth >= 1 and {patients[origin] for origin in origins} <= {of[entry]}
        assert origins or rule == "view-question"
    assert table["depth"].max() >= 2  # a report implies a label, and a label answers a question


def test_the_derived_annotations_have_the_origin_derived(dmax, done):
    facts = done.dataset.tables.annotations
    made = facts.filter(pl.col("origin") == "derived")
    assert set(made["source"]) == {"derived"} and made.height
    assert facts.filter(pl.col("origin") != "derived").equals(dmax.tables.annotations)
    train = dmax.tables.images.filter(pl.col("split") == "train")["image_id"]
    assert made["image_id"].is_in(train.implode()).all()


def test_exact_rules_are_right_where_the_truth_is_known(done):
    exact = done.rules.filter((pl.col("kind") == "exact") & pl.col("reading").is_null())
    judged = exact.filter(pl.col("judged") > 0)
    assert judged.height >= 6 and judged["precision"].min() == 1.0
    yields = done.yields.filter(pl.col("judged") > 0)
    assert yields["judged"].sum() > 20 and yields["right"].sum() >= 0.95 * yields["judged"].sum()
    assert (yields["low"] <= yields["precision"]).all()


def test_annotations_of_the_folder_are_never_read(dmax, done):
    """DMAX's annotations hold facts that the dataset is supposed to lack."""
    bare = replace(dmax.tables, annotations=dmax.tables.annotations.clear())
    made = derive_tables(bare, DeriveConfig(), clinical=dmax.clinical)
    again = derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)
    assert made.rendered.entries.equals(again.rendered.entries) and made.rendered.entries.height


def test_a_derived_dataset_derives_itself(dmax, done, tmp_path):
    first = derive_dataset(dmax.folder, tmp_path / "a").dataset
    again = derive_dataset(first.folder, tmp_path / "b").dataset
    assert first.sha256 == again.sha256


def test_workers_and_chunks_change_no_byte(dmax, tmp_path, monkeypatch):
    one = derive_dataset(dmax.folder, tmp_path / "one").dataset
    monkeypatch.setattr(run, "_CHUNK", 30)
    two = derive_dataset(dmax.folder, tmp_path / "two", workers=2).dataset
    assert one.manifest["files"] == two.manifest["files"]
    assert one.manifest["config"] == two.manifest["config"]


def _always_a_pneumothorax(known, _habits):
    for fact in known.of("report", "impression"):
        yield Conclusion(Fact("label", "Pneumothorax", 1.0), (fact,))


WRONG = DerivationRule(
    name="planted", says="Every report means a pneumothorax.", reads=("report",),
    makes=("label",), kind="calibrated", source="none", conclude=_always_a_pneumothorax,
)  # fmt: skip


def test_a_wrong_rule_is_switched_off_by_name(dmax, catalog, monkeypatch):
    monkeypatch.setattr("imaxray.derive.rules.chosen.all_rules", lambda: (*BUILT_IN, WRONG))
    truth = catalog.tables.split("train")
    made = derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical, truth=truth)
    row = made.rules.filter(pl.col("rule") == "planted").row(0, named=True)
    assert row["judged"] >= 10 and row["precision"] < 0.5 and not row["used"]
    assert "is below 0.9" in row["why"]
    rules = set("+".join(made.rendered.derivations["rule"].unique()).split("+"))
    assert "planted" not in rules
    free = derive_tables(dmax.tables, DeriveConfig(precision=0), clinical=dmax.clinical)
    assert free.contradicted.get("planted", 0) > 0  # entries that know better overrule it


def test_rules_can_be_chosen(dmax):
    only = derive_tables(dmax.tables, DeriveConfig(only=("rec-reg",)), clinical=dmax.clinical)
    assert set(only.rendered.derivations["rule"]) == {"rec-reg"}
    without = DeriveConfig(without=("report-label/Edema", "rec-reg"))
    less = derive_tables(dmax.tables, without, clinical=dmax.clinical)
    assert "rec-reg" not in set(less.rendered.derivations["rule"])
    off = less.rules.filter(~pl.col("used") & (pl.col("why") == "left out by --without"))
    assert off.select("rule", "reading").rows() == [("report-label", "Edema"), ("rec-reg", None)]


@pytest.mark.parametrize("option", ["only", "without"])
def test_an_unknown_rule_is_named(dmax, tmp_path, option):
    with pytest.raises(ImaxrayError, match=r"got rec-rex; did you mean rec-reg\?"):
        derive_dataset(dmax.folder, tmp_path / "x", DeriveConfig(**{option: ("rec-rex",)}))
    assert not (tmp_path / "x").exists()


def test_questions_of_an_image_are_limited(dmax):
    made = derive_tables(dmax.tables, DeriveConfig(questions_per_image=2), clinical=dmax.clinical)
    asked = made.rendered.entries.filter(pl.col("task") == "vqa")
    assert asked.group_by("image_id").len()["len"].max() == 2 and made.over > 0


def test_validation_and_test_never_hold_derived_entries(done, tmp_path):
    tables = done.dataset.tables
    moved = tables.entries.with_columns(
        pl.when(pl.col("quality").str.starts_with("derived/")).then(pl.lit("test"))
        .otherwise("split").alias("split")
    )  # fmt: skip
    with pytest.raises(ImaxrayError, match="derived annotations on train images alone"):
        write_dataset(replace(tables, entries=moved), tmp_path / "x", config={}, seed=0)


def test_the_card_and_the_statistics_count_derived_entries(done):
    card = (done.dataset.folder / "README.md").read_text()
    total = sum(done.counts["derived"].values())
    assert f"{total:,} of the training entries follow from others" in card
    assert "rec-reg" in card
    shown = CliRunner().invoke(app, ["stats", str(done.dataset.folder), "--format", "json"])
    dense = json.loads(shown.output)["density"]
    assert dense["of train, derived"]["entries"] == total


def test_the_audit_finds_nothing(done):
    pixels = [c.code for c in CHECKS if c.code.split("-")[0] in ("near", "same", "unreadable")]
    found = audit_dataset(done.dataset.folder, skip=pixels)
    assert {issue.code for issue in found.issues} == set()


def test_the_command_prints_rules_densities_and_what_is_off(dmax, catalog, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["derive", str(dmax.folder), "--out", str(out), "--truth", str(catalog.folder),
              "--without", "boxes-ratio", "--precision", "0.8"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "Switched off: boxes-ratio (left out by --without)" in text
    assert "derived entries beside the real ones" in text and "after" in text
    report = json.loads((out / "derive.json").read_text())
    assert open_dataset(out).manifest["config"]["derive"]["precision"] == 0.8
    assert {row["rule"] for row in report["rules"]} == {rule.name for rule in BUILT_IN}
    assert (out / "rules.csv").read_text().startswith("rule,reading,kind,judged,right,precision")


def test_what_may_leave_the_house_of_a_derived_dataset_holds_no_text(done, tmp_path):
    shared = share_dataset(done.dataset, tmp_path / "shared")
    assert verify_folder(tmp_path / "shared") == ("share.json", [])
    assert shared.counts["entries"] == done.dataset.tables.entries.height
    entries = pl.read_csv(tmp_path / "shared" / "entries.csv", infer_schema=False)
    made = derived_of(done.dataset)
    assert entries.filter(pl.col("sources") == "derived").height == made.height
    written = "\n".join(path.read_text() for path in (tmp_path / "shared").iterdir())
    texts = {*made["prompt"], *made["target"], *done.dataset.tables.annotations["text"]} - {None}
    long = [text for text in texts if len(text) > 12]
    assert len(long) > 20 and not [text for text in long if text in written]


def test_a_derived_folder_is_verified_with_its_report_and_its_rules(dmax, tmp_path):
    made = derive_dataset(dmax.folder, tmp_path / "out")
    folder = made.dataset.folder
    assert verify_folder(folder) == ("manifest.json", [])
    for name in ("derive.json", "rules.csv", "derivations.parquet", "manifest.json"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before.replace(b"1", b"2", 1))
        assert verify_folder(folder) == ("manifest.json", [name])
        (folder / name).write_bytes(before)


def test_two_derivations_of_one_folder_do_not_meet(dmax, tmp_path):
    out = tmp_path / "out"
    with sole_writer(out.resolve(), beside=True):
        # another process, because a lock is one of a process
        run = subprocess.run(
            [sys.executable, "-m", "imaxray.cli", "derive", dmax.folder, "--out", out],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert run.returncode == 2 and f"process {os.getpid()} on " in run.stderr
    assert not out.exists()


def test_foreign_files_stay_and_other_folders_are_refused(dmax, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(ImaxrayError, match="holds other files"):
        derive_dataset(dmax.folder, tmp_path / "thesis")
    assert "Deriving" not in capsys.readouterr().err  # said before the work
    derive_dataset(dmax.folder, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    derive_dataset(dmax.folder, tmp_path / "out", DeriveConfig(only=("view-question",)))
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_a_changed_input_is_found_before_anything_is_derived(dmax, tmp_path):
    shutil.copytree(dmax.folder, tmp_path / "dmax")
    table = tmp_path / "dmax" / "entries" / "train.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    with pytest.raises(ImaxrayError, match=r"train\.parquet is missing or was changed"):
        derive_dataset(tmp_path / "dmax", tmp_path / "out")
    assert not (tmp_path / "out").exists()
