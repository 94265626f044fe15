"""Makes a small phantom catalog and a DMAX whose train images have one task each."""

import polars as pl
import pytest

from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.curation.selecting.imax import subset


@pytest.fixture(scope="session")
def catalog_tables(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


@pytest.fixture(scope="session")
def catalog(catalog_tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("derive") / "catalog"
    write_dataset(catalog_tables, folder, config={}, seed=0, role="catalog")
    return open_dataset(folder)


@pytest.fixture(scope="session")
def dmax(catalog_tables, tmp_path_factory):
    train = catalog_tables.split("train")
    tasks = train.group_by("image_id").agg(pl.col("task").unique().sort()).sort("image_id")
    kept = {image: names[k % len(names)] for k, (image, names) in enumerate(tasks.iter_rows())}
    own = train.filter(
        pl.col("task") == pl.col("image_id").replace_strict(kept, return_dtype=pl.String)
    )
    rest = catalog_tables.entries.filter(pl.col("split") != "train")
    folder = tmp_path_factory.mktemp("derive") / "dmax"
    tables = subset(catalog_tables, pl.concat([own, rest]))
    write_dataset(tables, folder, config={}, seed=0, role="dmax")
    return open_dataset(folder)
