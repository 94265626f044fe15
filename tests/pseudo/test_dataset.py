"""Tests the folder of pseudo IMAX, which has no pseudo entry in validation or test."""

import hashlib
import json
import shutil
from dataclasses import replace

import polars as pl
import pytest
from typer.testing import CliRunner

from imaxray._common.folders import MARKER
from imaxray._common.state import known_state, write_state
from imaxray.audit import CHECKS, audit_dataset
from imaxray.cli import app
from imaxray.curation import open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.export import ExportConfig, export_dataset
from imaxray.pseudo import (
    FilterConfig,
    chosen_rules,
    filter_candidates,
    filter_folder,
    load_rules,
    write_pseudo,
)
from imaxray.schema import ENTRIES, IS_PSEUDO, mark_pseudo, require_real_evaluation
from imaxray.tasks import from_json, get_task, make_entries


@pytest.fixture(scope="module")
def done(dmax, lacking, fabricate):
    return filter_candidates(fabricate(lacking, 0.7, seed=1), dmax, rules=load_rules())


@pytest.fixture(scope="module")
def made(dmax, done, tmp_path_factory):
    return write_pseudo(
        dmax.folder, done.kept, tmp_path_factory.mktemp("made") / "pseudo", dropped=done.dropped
    )


def test_it_is_the_data_set_and_the_kept_entries(dmax, done, made):
    assert made.verify() == [] and made.manifest["role"] == "pseudo-imax"
    pseudo = made.tables.entries[IS_PSEUDO]
    assert made.tables.entries.filter(~pseudo).equals(dmax.tables.entries)
    new = made.tables.entries.filter(pseudo)
    assert sorted(new["entry_id"]) == done.kept["pseudo_id"].to_list()
    assert set(new["split"]) == {"train"} and set(new["quality"]) == {"pseudo/made-up"}
    assert made.tables.images.equals(dmax.tables.images)
    assert made.image_path(new["image_id"][0]).exists()


def test_pseudo_answers_score_as_gold_answers(made):
    """The gold form: what the metric of the task reads, with the pseudo answer as a perfect one."""
    for task, rows in made.tables.entries.filter(IS_PSEUDO).group_by("task"):
        module = get_task(task[0])
        golds = [from_json(answer) for answer in rows["answer"]]
        value = module.primary(golds, [module.given(gold) for gold in golds])
        best = module.primary.high if module.primary.higher_is_better else module.primary.low
        assert value == pytest.approx(best)


def test_its_annotations_make_its_entries_again(dmax, made):
    facts = made.tables.annotations.filter(pl.col("origin") == "pseudo")
    assert set(facts["source"].cast(pl.String)) == {"pseudo"}
    again = make_entries(facts, made.tables.images)
    assert set(mark_pseudo(again)[IS_PSEUDO]) == {True}
    new = made.tables.entries.filter(IS_PSEUDO)
    for task in ("calculation", "grading", "findings", "vqa"):
        ids = [set(t.filter(pl.col("task") == task)["entry_id"]) for t in (again, new)]
        assert ids[0] == ids[1] and ids[0]
    assert facts["image_id"].n_unique() == new["image_id"].n_unique()


def test_every_candidate_is_accounted_for(done, made):
    account = made.tables.account.filter(pl.col("source") == "pseudo").row(0, named=True)
    assert account["rows_in"] == account["kept"] + account["rejected"]
    assert account["kept"] == done.kept.height and account["rejected"] == done.dropped.height
    rejects = made.tables.rejects.filter(pl.col("source").cast(pl.String) == "pseudo")
    assert sorted(rejects["key"]) == done.dropped["pseudo_id"].to_list()
    assert rejects["code"].cast(pl.String).str.starts_with("pseudo-").all()


def test_the_same_input_gives_the_same_bytes(dmax, done, made, tmp_path):
    kept, gone = done.kept.reverse(), done.dropped.reverse()
    again = write_pseudo(dmax, kept, tmp_path / "again", dropped=gone)
    assert again.manifest == made.manifest


def test_the_card_says_which_entries_a_model_wrote(made, done):
    card = (made.folder / "README.md").read_text()
    assert f"{done.kept.height:,} of the training entries were written by a model (made-up)" in card


def test_it_loads_as_a_hugging_face_data_set(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    read = datasets.load_dataset(str(made.folder), cache_dir=str(tmp_path))
    assert read["train"].num_rows == made.tables.split("train").height


def test_it_can_be_exported(made, tmp_path):
    export_dataset(made, "llava", tmp_path / "out", ExportConfig(boxes="percent"))
    assert any((tmp_path / "out").iterdir())


def moved(entries, split):
    return entries.with_columns(pl.lit(split).alias("split"))


@pytest.mark.parametrize("split", ["val", "test"])
def test_writing_pseudo_entries_of_other_splits_is_refused(dmax, made, tmp_path, split):
    new = made.tables.entries.filter(IS_PSEUDO).head(3)
    entries = pl.concat([dmax.tables.entries, moved(new, split)])
    with pytest.raises(ImaxrayError, match="3 pseudo entries and 0 pseudo annotations"):
        write_dataset(replace(dmax.tables, entries=entries), tmp_path / "no", config={}, seed=0)
    assert not (tmp_path / "no").exists()


def test_writing_pseudo_annotations_of_test_images_is_refused(dmax, tmp_path):
    test = dmax.tables.split("test")["image_id"].unique().implode()
    facts = dmax.tables.annotations.with_columns(
        pl.when(pl.col("image_id").is_in(test)).then(pl.lit("pseudo"))
        .otherwise(pl.col("origin").cast(pl.String)).cast(dmax.tables.annotations.schema["origin"])
        .alias("origin")
    )  # fmt: skip
    with pytest.raises(ImaxrayError, match="pseudo annotations on train images alone"):
        write_dataset(replace(dmax.tables, annotations=facts), tmp_path / "no", config={}, seed=0)


def sign(folder, name):
    """Forge the manifest, too."""
    manifest = known_state(folder / "manifest.json")
    manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_state(folder / "manifest.json", manifest)
    (folder / MARKER).unlink()  # it holds the digest of the manifest


def test_opening_a_folder_whose_test_entries_are_pseudo_is_refused(made, tmp_path):
    folder = tmp_path / "forged"
    shutil.copytree(made.folder, folder)
    new = made.tables.entries.filter(IS_PSEUDO).head(2)
    test = pl.concat([made.tables.split("test"), moved(new, "test")])
    test.write_parquet(folder / "entries" / "test.parquet")
    with pytest.raises(ImaxrayError, match=r"entries/test.parquet is missing or was changed"):
        open_dataset(folder)
    sign(folder, "entries/test.parquet")
    with pytest.raises(ImaxrayError, match="pseudo annotations on train images alone, but 2"):
        open_dataset(folder)


def test_opening_a_folder_whose_pseudo_images_went_to_validation_is_refused(made, tmp_path):
    """Splits of entries left as they were: the image decides too."""
    folder = tmp_path / "forged"
    shutil.copytree(made.folder, folder)
    image = made.tables.entries.filter(IS_PSEUDO)["image_id"][0]
    split = pl.when(pl.col("image_id") == image).then(pl.lit("val")).otherwise("split")
    images = pl.read_parquet(folder / "images.parquet")
    images.with_columns(split.alias("split")).write_parquet(folder / "images.parquet")
    sign(folder, "images.parquet")
    with pytest.raises(ImaxrayError, match="of other splits"):
        open_dataset(folder)


def test_a_mixed_entry_counts_as_pseudo():
    rows = pl.DataFrame(
        {
            "quality": ["human/gold", "human/gold+pseudo/m", "silver/not-pseudo/x", None],
            "sources": [["a"], ["a"], ["a"], ["a", "pseudo"]],
        }
    )
    marked = mark_pseudo(rows)
    assert marked[IS_PSEUDO].to_list() == [False, True, False, True]
    assert mark_pseudo(marked) is marked


def test_real_data_sets_pass(dmax):
    require_real_evaluation(dmax.tables.images, dmax.tables.annotations, dmax.tables.entries)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (pl.lit("nobody").alias("image_id"), "be about train images"),
        (pl.lit("nobody").alias("patient_id"), "have the patients of their images"),
        (pl.lit(None, dtype=pl.String).alias("answer"), "have answers that can be read"),
        (pl.lit("same").alias("pseudo_id"), "have distinct ids"),
    ],
)
def test_bad_candidates_are_not_written(dmax, done, tmp_path, change, says):
    with pytest.raises(ImaxrayError, match=says):
        write_pseudo(dmax, done.kept.with_columns(change), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_another_folder_is_not_replaced(dmax, done, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ImaxrayError, match="holds other files"):
        write_pseudo(dmax, done.kept, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.fixture(scope="module")
def annotated(dmax, lacking, fabricate, tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotated")
    fabricate(lacking, 0.8, seed=2).write_parquet(folder / "candidates.parquet")
    fabricate(dmax.tables.split("val"), 0.97, seed=3).write_parquet(folder / "calibration.parquet")
    return folder


@pytest.fixture(scope="module")
def catalog_folder(catalog, tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth") / "catalog"
    write_dataset(catalog, folder, config={}, seed=0)
    return folder


def test_one_call_from_candidates_to_a_data_set(annotated, dmax, catalog_folder, tmp_path):
    done = filter_folder(
        annotated, dmax.folder, tmp_path / "out", FilterConfig(precision=0.8), truth=catalog_folder
    )
    report = known_state(tmp_path / "out" / "filter.json")
    assert report == json.loads(json.dumps(done.as_dict()))
    assert {row["prompt_from"] for row in report["origins"]} == {"template"}
    assert "filter.json" in done.dataset.manifest["files"]
    assert {row["filter"] for row in report["yields"]} == {
        "none", "confidence", "consistency", "both",
    }  # fmt: skip
    assert report["thresholds"]["tasks"]["grading"]["threshold"] is None  # three entries are few
    config = done.dataset.manifest["config"]["pseudo"]
    digest = hashlib.sha256((annotated / "candidates.parquet").read_bytes()).hexdigest()
    assert config["candidates"] == digest and config["precision"] == 0.8


def test_the_clinical_rules_are_those_of_the_data_set_that_was_annotated(
    annotated, dmax_tables, tmp_path
):
    def above(out, **given):
        done = filter_folder(
            annotated, tmp_path / "data", tmp_path / out, FilterConfig(precision=0.8), **given
        )
        rules = done.dataset.manifest["config"]["pseudo"]["rules"]
        [rule] = [rule for rule in rules if rule["name"] == "ctr-cardiomegaly"]
        return rule["contradict"][1]["first"]["above"]

    block = {"ctr-cardiomegaly": {"thresholds": {"margin": 0.25}}}
    write_dataset(dmax_tables, tmp_path / "data", config={"clinical": block}, seed=0, role="dmax")
    assert above("manifest") == 0.75
    assert open_dataset(tmp_path / "manifest").clinical["ctr-cardiomegaly"].contradicts(0.8, 0)
    own = tmp_path / "own.yaml"
    own.write_text("clinical: {ctr-cardiomegaly: {thresholds: {margin: 0.125}}}")
    assert above("file", clinical=own) == 0.625
    rules = chosen_rules(FilterConfig(rules=own), open_dataset(tmp_path / "data"))
    assert rules == load_rules(own)


def run(*arguments):
    return CliRunner().invoke(app, ["filter", *map(str, arguments)])


def test_the_command(annotated, dmax, catalog_folder, tmp_path):
    result = run(annotated, "--data", dmax.folder, "--out", tmp_path / "out", "--precision", 0.8,
                 "--truth", catalog_folder)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "rec: confidence from" in result.output
    assert "grading: 3 validation answers are too few" in result.output
    assert "At equal yield" in result.output and "pseudo entries beside" in result.output
    assert open_dataset(tmp_path / "out").verify() == []


def test_the_command_without_either_filter_keeps_all(annotated, dmax, lacking, tmp_path):
    out = tmp_path / "out"
    result = run(annotated, "--data", dmax.folder, "--out", out, "--no-confidence",
                 "--no-consistency", "--format", "json")  # fmt: skip
    report = json.loads(result.output)
    assert report["kept"] == lacking.height and report["thresholds"] is None
    assert report["rules"] == [] and report["dropped"] == {}


def test_user_errors_of_the_command(annotated, dmax, tmp_path):
    unused = run(annotated, "--data", dmax.folder, "--out", tmp_path / "o", "--no-consistency",
                 "--rules", tmp_path / "r.yaml")  # fmt: skip
    assert isinstance(unused.exception, ImaxrayError) and "give no rules" in str(unused.exception)
    with pytest.raises(ImaxrayError, match="write it with imaxray annotate"):
        filter_folder(tmp_path, dmax.folder, tmp_path / "o")
    shutil.copytree(annotated, tmp_path / "of-another")
    identity = {"identity": {"dataset": "0" * 64}}
    (tmp_path / "of-another" / "annotate.json").write_text(json.dumps(identity))
    with pytest.raises(ImaxrayError, match="is another one"):
        filter_folder(tmp_path / "of-another", dmax.folder, tmp_path / "o")


def test_schema_of_written_entries(made):
    assert made.tables.entries.schema == {**ENTRIES, IS_PSEUDO: pl.Boolean}
    for split in ("train", "val", "test"):
        assert pl.read_parquet_schema(made.folder / "entries" / f"{split}.parquet") == ENTRIES


SKIPPED = {"broken", "duplicate", "near", "ctr", "edema", "report", "vqa"}


def test_the_audit_finds_nothing_new_in_it(dmax, made):
    # images are dmax's, and contradictions of noisy answers are what a filter leaves
    skip = [c.code for c in CHECKS if c.code.split("-")[0] in SKIPPED]
    before, after = (audit_dataset(data.folder, skip=skip) for data in (dmax, made))
    assert {f.code for f in after.issues} == {f.code for f in before.issues} == set()
