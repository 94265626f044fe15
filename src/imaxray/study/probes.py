"""Chooses the probes of a study once before training; all arms and seeds share them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.files import read_parquet, sha256, write_parquet
from imaxray._common.state import known_state, write_state
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
    for name, ids in _crossed_ids(probes).items():
        if not _is_measured(run, name, ids):
            path = crossed_path(run, name)
            measure_probe(trained.model, probe_of(trained, probes, name, study)).write(path)
            write_state(path.with_suffix(".json"), _told(run, path))


def crossed_is_measured(probes: Path, run: Path) -> bool:
    """Tell whether :func:`measure_crossed` has nothing to do, since all is there and unchanged."""
    return all(_is_measured(run, name, ids) for name, ids in _crossed_ids(probes).items())


def read_crossed(run: Path, name: str) -> Gram:
    """Read what :func:`measure_crossed` wrote for a probe.

    Raises:
        ImaxrayError: It was changed since, or is of other weights.
    """
    path = crossed_path(run, name)
    if not path.is_file() or known_state(path.with_suffix(".json")) != _told(run, path):
        raise ImaxrayError(
            f"Expected {path} as it was measured with the weights of {run}, but it is missing or "
            "was changed; run the study again, which measures it again."
        )
    return Gram.read(path)


def _crossed_ids(probes: Path) -> dict[str, tuple[str, ...]]:
    """Map each probe of train entries to the ids of its entries."""
    table = read_parquet(probes)
    names = table["probe"].unique(maintain_order=True).to_list()
    return {name: tuple(table.filter(probe=name)["entry_id"]) for name in names if name != VAL}


def _is_measured(run: Path, name: str, ids: tuple[str, ...]) -> bool:
    path = crossed_path(run, name)
    whole = path.is_file() and known_state(path.with_suffix(".json")) == _told(run, path)
    return whole and Gram.read(path).ids == ids


def _told(run: Path, path: Path) -> dict[str, str]:
    """Return the digests of a measurement and of the run that it was made with."""
    return {"sha256": sha256(path), "run": sha256(run / "run.json")}


def crossed_path(run: Path, name: str) -> Path:
    """Return the file that :func:`measure_crossed` writes for a probe."""
    return run / "dynamics" / "crossed" / f"{name}.parquet"
