"""Chooses the probes of a study once before training; all arms and seeds share them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.files import read_parquet, write_parquet
from imaxray._common.state import write_state
from imaxray.curation import Dataset, open_dataset
from imaxray.dynamics import Gram, Probe, make_probe, measure_probe, probe_entries, probe_pair
from imaxray.dynamics.probing.entries import ImageSharing
from imaxray.dynamics.probing.measure import dataset_images
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.study.config import DynamicsConfig

VAL: Final = "val"
"""Name of the probe that is measured during training."""

DRAWS: Final[tuple[ImageSharing, ...]] = ("apart", "together")
"""How entries of a probe share images: not at all (apart), or as much as possible (together)."""

ROLES: Final = ("imax", "dmax")


def crossed_name(draw: str, role: str) -> str:
    """Return the name of the probe of ``role``'s train entries."""
    return f"{role}-train-{draw}"


def choose_probes(config: DynamicsConfig, imax: Dataset, dmax: Dataset, out: Path) -> Path:
    """Choose the entries of every probe and write them to ``dynamics/probes.parquet``.

    The table has the columns ``probe`` (name), ``dataset`` (imax or dmax) and those of
    :func:`probe_entries`. If the data are too small for a pair of probes, the pair is left out and
    ``dynamics/not_made.json`` holds the reason.

    Args:
        config: Options of the measurements.
        imax: IMAX dataset; its val split gives the probe that is measured during training.
        dmax: DMAX dataset.
        out: Study folder.

    Returns:
        The written file.

    Raises:
        ImaxrayError: If the val split is too small for the probe.
    """
    chosen = {VAL: ("imax", probe_entries(imax.tables.split("val"), config.probe))}
    learn, other = imax.tables.split("train"), dmax.tables.split("train")
    failed = {}
    for draw in DRAWS:
        try:
            pair = probe_pair(learn, other, config.probe, images=draw)
        except ImaxrayError as error:
            failed[draw] = str(error)
            continue
        chosen |= {crossed_name(draw, r): (r, p) for r, p in zip(ROLES, pair, strict=True)}
    folder = out / "dynamics"
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder / "not_made.json", failed)
    path = folder / "probes.parquet"
    rows_of_all = [
        rows.select(pl.lit(name).alias("probe"), pl.lit(role).alias("dataset"), pl.all())
        for name, (role, rows) in chosen.items()
    ]
    write_parquet(path, pl.concat(rows_of_all))
    return path


def probe_of(chat: ChatModel, probes: Path, name: str, study: Path) -> Probe:
    """Return the probe called ``name``, encoded for a model.

    Args:
        chat: Model whose prompts and image inputs are prepared.
        probes: File that :func:`choose_probes` wrote.
        name: Name of the probe.
        study: Study folder, which holds the datasets.
    """
    rows = read_parquet(probes).filter(probe=name)
    data = open_dataset(study / rows["dataset"][0])
    pixels = dataset_images(chat, data, rows["image_id"].unique().sort().to_list())
    return make_probe(chat, rows.drop("probe", "dataset"), data.tables.images, pixels)


def measure_crossed(trained: ChatModel, probes: Path, study: Path, run: Path) -> None:
    """Measure a finished run on all probes of train entries; finished measurements are kept."""
    table = read_parquet(probes)
    for name in table["probe"].unique(maintain_order=True).to_list():
        path = crossed_path(run, name)
        ids = tuple(table.filter(probe=name)["entry_id"])
        if name != VAL and not (path.exists() and Gram.read(path).ids == ids):
            measure_probe(trained.model, probe_of(trained, probes, name, study)).write(path)


def crossed_path(run: Path, name: str) -> Path:
    """Return the file that :func:`measure_crossed` writes for a probe."""
    return run / "dynamics" / "crossed" / f"{name}.parquet"
