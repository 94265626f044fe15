"""Tests `build --derive`: the catalog is derived from before IMAX is selected."""

import pytest

from imaxray.curation import ImaxConfig, open_dataset
from imaxray.derive import DeriveConfig
from imaxray.errors import ImaxrayError
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
