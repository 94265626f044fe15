"""A chat server on loopback, and a dataset to ask it about."""

import threading
from dataclasses import replace

import polars as pl
import pytest

from chat_server import Server
from imaxray.curation import build_catalog, open_dataset, write_dataset


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(scope="session")
def data(phantom_releases, tmp_path_factory):
    """Forty test entries of six images, and some of train."""
    folder = tmp_path_factory.mktemp("hosted") / "catalog"
    tables = build_catalog(phantom_releases, verify=False)
    test = tables.split("test").sort("image_id", "entry_id")
    test = test.filter(pl.int_range(pl.len()).over("image_id", "task") < 1)
    images = test.group_by("image_id").len().sort("len", "image_id", descending=True)
    test = test.filter(pl.col("image_id").is_in(images["image_id"][:8].to_list())).head(40)
    kept = pl.concat([tables.split("train").head(20), test])
    write_dataset(replace(tables, entries=kept), folder, config={}, seed=0)
    return open_dataset(folder)


@pytest.fixture
def quick(monkeypatch):
    """Waits of a hundredth of a second in place of a second."""
    monkeypatch.setattr("imaxray.evaluation.generation.hosted.client.FIRST_WAIT", 0.01)
