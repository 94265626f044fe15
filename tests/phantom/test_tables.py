"""Tests the phantom of MIMIC-CXR's size: published counts, read by the readers of MIMIC-CXR."""

import csv
import gzip
import hashlib
import json
import zipfile

import polars as pl
import pytest

from imaxray.curation import build_catalog, density
from imaxray.errors import ImaxrayError
from imaxray.phantom import write_phantom_tables
from imaxray.phantom.census import draw_census

TIMES = 0.004


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    out = tmp_path_factory.mktemp("tables") / "mimic"
    write_phantom_tables(out, times=TIMES, seed=1)
    return out


def digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in files}  # fmt: skip


def test_the_census_is_the_published_one():
    census = draw_census(1.0, 0)
    assert census.patients == 65_379
    assert len(census.study_patient) == 227_835
    assert len(census.image_study) == 377_110
    assert int((census.image_view == 0).sum()) == 96_161
    assert int(census.image_questions.sum()) == 377_391
    assert int((census.study_grade > 0).sum()) == 6_710
    # studies without an image, and patients without a study, would be none of MIMIC's
    assert len(set(census.image_study.tolist())) == 227_835
    assert len(set(census.study_patient.tolist())) == 65_379


def test_tables_have_their_share_of_the_published_sizes(tables):
    with gzip.open(tables / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz", "rt") as stream:
        assert abs(sum(1 for _ in csv.DictReader(stream)) - 377_110 * TIMES) < 2
    with (tables / "cxr-cardiomegaly/CTRs.csv").open() as stream:
        assert abs(sum(1 for _ in csv.DictReader(stream)) - 96_161 * TIMES) < 2
    with zipfile.ZipFile(tables / "mimic-cxr/mimic-cxr-reports.zip") as archive:
        assert abs(len(archive.namelist()) - 227_835 * TIMES) < 2


def test_the_same_bytes_with_any_number_of_workers(tables, tmp_path):
    write_phantom_tables(tmp_path / "again", times=TIMES, seed=1, workers=2)
    assert digests(tmp_path / "again") == digests(tables)


def test_every_reader_reads_its_release_and_the_account_closes(tables):
    releases = {p.name: p for p in sorted(tables.iterdir()) if p.is_dir()}
    assert len(releases) == 7
    catalog = build_catalog(releases, verify="none")
    assert catalog.images.height > 1400
    assert set(catalog.entries["task"].unique()) >= {"calculation", "report", "findings", "rec",
                                                     "reg", "vqa"}  # fmt: skip
    assert density(catalog).tasks_per_image > 3
    account = catalog.account
    assert (account["rows_in"] == account["kept"] + account["rejected"]).all()
    patients = catalog.images.group_by("patient_id").agg(pl.col("split").n_unique())
    assert (patients["split"] == 1).all()


def test_without_archives_two_releases_are_left_out(tmp_path):
    write_phantom_tables(tmp_path / "few", times=TIMES, archives=False)
    names = {p.name for p in (tmp_path / "few").iterdir() if p.is_dir()}
    assert "mimic-cxr-jpg" in names and not names & {"chest-imagenome", "mimic-cxr"}
    assert json.loads((tmp_path / "few" / "phantom.json").read_text())["archives"] is False


def test_another_folder_is_not_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ImaxrayError, match="other files"):
        write_phantom_tables(tmp_path, times=TIMES)
