"""Makes a small DMAX and a model that learned its answers half by heart."""

from dataclasses import replace

import polars as pl
import pytest
import torch

from imaxray.boxes import PERCENT
from imaxray.cache import ImageStore
from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.hashing import digest
from imaxray.models import PhantomConfig, phantom
from imaxray.phantom import write_phantom
from imaxray.schema import TASKS
from imaxray.training import TrainingConfig, encode_entries, prepare_images, train


def one_task_an_image(tables):
    """At most two entries of one task on each train image; few validation entries."""
    order = {image: digest(image) for image in tables.images["image_id"]}
    left = tables.split("train").with_columns(
        pl.col("image_id").replace_strict(order, return_dtype=pl.UInt64).alias("drawn")
    )
    chosen = []
    for number, ((image,), rows) in enumerate(
        sorted(left.group_by("image_id"), key=lambda item: order[item[0][0]])
    ):
        has = set(rows["task"])
        task = next(t for k in range(7) if (t := TASKS[(number + k) % 7]) in has)
        some = rows.filter(pl.col("task") == task).sort("quality", "entry_id").head(3)
        chosen.append(some.drop("drawn"))
        assert image
    val = tables.split("val").sort("entry_id")
    val = val.filter(pl.int_range(pl.len()).over("task") < 6)
    return replace(tables, entries=pl.concat([*chosen, val]))


@pytest.fixture(scope="session")
def decentralized(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pseudo")
    write_phantom(folder / "releases", images=60, seed=3)
    releases = {
        p.name: p for p in (folder / "releases").iterdir() if p.is_dir() and p.name != "truth"
    }
    tables = build_catalog(dict(sorted(releases.items())), verify=False)
    write_dataset(one_task_an_image(tables), folder / "dmax", config={}, seed=0)
    write_dataset(tables, folder / "catalog", config={}, seed=0)
    return open_dataset(folder / "dmax")


@pytest.fixture(scope="session")
def run_folder(decentralized, tmp_path_factory):
    """A run that learned the training answers of the whole catalog half by heart."""
    folder = tmp_path_factory.mktemp("run") / "run"
    data = open_dataset(decentralized.folder.parent / "catalog")
    learn = data.tables.split("train")
    learn = learn.filter(pl.int_range(pl.len()).over("image_id", "task") < 2)
    config = PhantomConfig(
        image_size=32, patch_size=8, width=64, vocabulary=500, vision_layers=1, text_layers=2
    )
    corpus = [
        PERCENT.fill(f"{p} {t}", b or [], 300, 300)
        for p, t, b in learn.select("prompt", "target", "boxes").iter_rows()
    ]
    chat = phantom.build(config, corpus, seed=0)
    torch.set_num_threads(1)
    train(
        chat,
        learn,
        encode_entries(chat, learn, data.tables.images),
        prepare_images(chat, learn["image_id"].unique().sort().to_list(), ImageStore(data)),
        folder,
        layout="packed",
        config=TrainingConfig(
            entries_per_step=32, steps=110, optimizer="muon", learning_rate=2e-3,
            muon_learning_rate=1e-2, log_every=50, save_every=500, threads=1,
        ),
        seed=0,
        progress=False,
    )  # fmt: skip
    return folder
