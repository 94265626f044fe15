"""Tests `build --derive`: the catalog is derived from before IMAX is selected."""

import polars as pl
import pytest

from imaxray.cli.printing.densities import print_kept_density
from imaxray.curation import ImaxConfig, open_dataset, read_exclusions
from imaxray.derive import DeriveConfig
from imaxray.errors import ImaxrayError
from imaxray.marks import AnnotationKey, Mark, append_mark, fact_digest
from imaxray.schema import IS_DERIVED, mark_derived
from imaxray.study import DataConfig, build_datasets
from imaxray.study.build import ROLES, built


@pytest.fixture(scope="module")
def data(phantom_releases, tmp_path_factory):
    out = tmp_path_factory.mktemp("build") / "data"
    config = DataConfig(verify=False, imax=ImaxConfig(min_tasks=2), derive=DeriveConfig())
    return config, out, build_datasets(phantom_releases, config, out)


def test_derivation_raises_the_density_before_the_selection(data, catalog_tables):
    _, out, report = data
    before, after = report.derived["before"], report.derived["after"]
    assert before["entries"] == catalog_tables.split("train").height
    assert after["images"] == before["images"]
    assert after["tasks_per_image"] > before["tasks_per_image"]
    assert after["entries_per_image"] > before["entries_per_image"]
    assert report.as_dict()["derived"]["rules"]
    for role in ROLES:
        dataset = open_dataset(out / role)
        made = mark_derived(dataset.tables.entries).filter(IS_DERIVED)
        assert made.height and set(made["split"]) == {"train"}
        assert dataset.verify() == [] and "derivations.parquet" in dataset.manifest["files"]


def test_validation_and_test_are_those_of_a_build_without(data, catalog_tables):
    _, out, _ = data
    tables = open_dataset(out / "catalog").tables
    for split in ("val", "test"):
        assert tables.split(split).equals(catalog_tables.split(split))


def test_a_build_is_recognised_by_its_configuration(data):
    config, out, _ = data
    assert built(config, out) is not None
    assert built(config.model_copy(update={"derive": None}), out) is None
    assert "derive" not in DataConfig().model_dump(mode="json")
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("key", ["rules", "masks"])
def test_files_of_a_machine_are_refused(key):
    with pytest.raises(ValueError, match="leave them out"):
        DataConfig(derive={key: "somewhere"})


def test_an_unknown_rule_is_found_before_a_release_is_read(tmp_path):
    config = DataConfig(derive=DeriveConfig(without=("report-lable",)))
    with pytest.raises(ImaxrayError, match="did you mean report-label"):
        build_datasets({"mimic-cxr": tmp_path / "none"}, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def mark_of(row, verdict="wrong"):
    names = ("kind", "name", "source", "reader", "file", "row")
    key = AnnotationKey(**{name: row[name] for name in names}, fact=fact_digest(row))
    return Mark(image_id=row["image_id"], verdict=verdict, annotation=key)


@pytest.fixture(scope="module")
def marked(data, phantom_releases, tmp_path_factory):
    """A derived label and a derived question that a user marked, and the build without them."""
    config, out, _ = data
    folder = tmp_path_factory.mktemp("marked")
    derived = open_dataset(out / "catalog").tables.annotations.filter(source="derived")
    label = derived.filter(kind="label", value=1.0).row(0, named=True)
    asked = derived.filter(
        pl.col("kind") == "qa", pl.col("image_id") != label["image_id"]
    ).row(0, named=True)  # fmt: skip
    for row, verdict in ((label, "wrong"), (asked, "doubtful")):
        append_mark(folder / "marks.jsonl", mark_of(row, verdict))
    marks = read_exclusions(folder / "marks.jsonl", ["wrong", "doubtful"])
    build_datasets(phantom_releases, config, folder / "data", exclude=marks)
    return label, asked, folder / "data"


def test_what_a_user_marked_is_not_derived(data, marked):
    label, asked, out = marked
    before = open_dataset(data[1] / "catalog").tables
    after = open_dataset(out / "catalog").tables
    for row in (label, asked):
        now = after.annotations.filter(pl.col("image_id") == row["image_id"], source="derived")
        assert fact_digest(row) not in [
            fact_digest(one)
            for one in now.filter(kind=row["kind"]).iter_rows(named=True)
            if one["name"] == row["name"]
        ]
    both = [label["image_id"], asked["image_id"]]
    rest = ~pl.col("image_id").is_in(both)
    assert after.annotations.filter(rest).equals(before.annotations.filter(rest))
    assert after.entries.filter(rest).equals(before.entries.filter(rest))
    gone = before.entries.filter(~rest).join(after.entries, on="entry_id", how="anti")
    assert gone.filter(~mark_derived(gone)[IS_DERIVED]).is_empty() and gone.height >= 1
    assert any(asked["text"] in prompt for prompt in gone["prompt"])


def test_marks_on_derived_annotations_are_counted(marked):
    label, asked, out = marked
    dataset = open_dataset(out / "catalog")
    rejects = dataset.tables.rejects.filter(source="derived")
    assert dict(rejects.select("key", pl.col("code").cast(pl.String)).iter_rows()) == {
        label["image_id"]: "annotation-marked-wrong",
        asked["image_id"]: "annotation-marked-doubtful",
    }
    account = dataset.manifest["decisions"]["marks"]
    assert account["annotations"] == {"derived": 2} and account["unmatched"] == 0
    [line] = [one for one in dataset.manifest["account"] if one["source"] == "derived"]
    assert line["rejected"] == 2 and line["rows_in"] == line["kept"] + 2
    assert dataset.verify() == []


def test_a_fixed_density_is_told(capsys):
    print_kept_density(ImaxConfig(min_tasks=2, target_entries=9))
    assert capsys.readouterr() == ("", "")
    fixed = {"tasks_per_image": 4.1, "entries_per_image": 7.46, "target_entries": 9}
    print_kept_density(ImaxConfig(min_tasks=2, **fixed))
    said = "".join(capsys.readouterr())
    assert "(tasks_per_image: 4.10, entries_per_image: 7.46)" in said.replace("\n", " ")
