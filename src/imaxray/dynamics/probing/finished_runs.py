"""Measures finished runs from their saved weights, on probes that are the same for all runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.digests import changed_files
from imaxray._common.files import sha256
from imaxray._common.state import known_state, write_state
from imaxray._version import __version__
from imaxray.cache import ImageStore
from imaxray.curation import Dataset
from imaxray.dynamics.probing.callbacks import Probe
from imaxray.dynamics.probing.measure import dataset_images, make_probe, measure_probe
from imaxray.dynamics.probing.store import is_recorded, record
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.progress import track
from imaxray.training import FinishedRun, weights_digest

_DIGESTS: Final = "measured.json"
"""File in a folder of measurements that holds the digests of the others."""


@dataclass(frozen=True)
class RunProbe:
    """Names the entries of a dataset on which runs are measured.

    Attributes:
        data: The dataset.
        entries: Entries that :func:`probe_entries` or :func:`probe_pair` returned.
        checkpoints: Whether to measure the saved checkpoints of a run in addition to its final
            model.
    """

    data: Dataset
    entries: pl.DataFrame
    checkpoints: bool = False

    def key(self) -> str:
        """Return a short hash of everything that decides the model inputs."""
        whole = {
            "dataset": self.data.sha256,
            "images": ImageStore(self.data).describe(),
            "entries": self.entries.select("entry_id", "stratum").rows(),
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()[
            :12
        ]


def measure_runs(
    runs: Sequence[Path],
    probes: Mapping[str, RunProbe],
    out: Path,
    *,
    device: str = "cpu",
    tokens_per_batch: int | None = None,
) -> dict[str, list[Path]]:
    """Measure finished runs on probes; a call after an interruption keeps earlier measurements.

    Models are loaded one at a time, in the same way as by ``imaxray evaluate``. The parameters that
    the run trained are trainable. A measurement is identified by its probe and its weights, so
    another probe or another training gets a folder of its own.

    Args:
        runs: Run folders of ``imaxray train`` or of a study.
        probes: Mapping from the name of a probe to its entries.
        out: Output folder. Measurements are written to ``measured/PROBE-HASH/RUN-HASH`` in it, in
            the format that :class:`FisherProbe` writes and that :func:`run_spectra` and
            :func:`compare_runs` read.
        device: Device that the models run on.
        tokens_per_batch: Token limit of a batch, see :func:`make_probe`.

    Returns:
        Mapping from probe name to the folder of each run's measurements, in the order of ``runs``.

    Raises:
        ImaxrayError: If a folder is not a finished run, or its model cannot be loaded or measured.
    """
    finished = [FinishedRun(run) for run in runs]  # a missing run raises before hours of work
    keys = {name: probe.key() for name, probe in probes.items()}
    folders: dict[str, list[Path]] = {name: [] for name in probes}
    for run in track(finished, "Measuring runs"):
        places = {
            name: out / "measured" / f"{name}-{key}" / _run_key(run) for name, key in keys.items()
        }
        _measure(run, probes, places, device, tokens_per_batch)
        for name, place in places.items():
            folders[name].append(place)
    return folders


def _measure(
    run: FinishedRun,
    probes: Mapping[str, RunProbe],
    places: Mapping[str, Path],
    device: str,
    tokens_per_batch: int | None,
) -> None:
    """Make the missing measurements of one run; load no model if nothing is missing."""
    saved: dict[int, Path | None] = {
        seen: path for seen, path in run.checkpoints().items() if seen != run.entries_seen
    }
    lacking: dict[int, list[str]] = {}
    for name, probe in probes.items():
        _forget_unless_whole(places[name])
        for seen in [run.entries_seen, *(saved if probe.checkpoints else ())]:
            if not is_recorded(places[name], seen):
                lacking.setdefault(seen, []).append(name)
    if not lacking:
        return
    chat = run.load(device=device)
    ready = {
        name: _prepared(chat, probes[name], tokens_per_batch)
        for name in sorted({name for names in lacking.values() for name in names})
    }
    for seen in run.states(chat, {seen: saved.get(seen) for seen in lacking}):
        for name in lacking[seen]:
            _keep(run, chat, ready[name], probes[name], places[name], seen)


def _prepared(chat: ChatModel, of: RunProbe, tokens_per_batch: int | None) -> Probe:
    pixels = dataset_images(chat, of.data, of.entries["image_id"].unique().sort().to_list())
    images = of.data.tables.images
    return make_probe(chat, of.entries, images, pixels, tokens_per_batch=tokens_per_batch)


def _keep(
    run: FinishedRun, chat: ChatModel, probe: Probe, of: RunProbe, folder: Path, seen: int
) -> None:
    """Make one measurement and store it; digests are written last, so they vouch for all."""
    gram = measure_probe(chat.model, probe)
    told = {
        "entry_ids": list(probe.ids),
        "strata": list(probe.strata),
        "uncovered": list(gram.uncovered),
        "dataset": of.data.sha256,
        "weights": str(run.weights.name),
        "imaxray": __version__,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _DIGESTS).unlink(missing_ok=True)
    write_state(folder / "probe.json", told)
    record(folder, gram, step=seen // run.config.entries_per_step, entries_seen=seen)
    write_state(folder / _DIGESTS, {"files": _digests(folder)})


def _digests(folder: Path) -> dict[str, str]:
    paths = [folder / "probe.json", *sorted(folder.rglob("*.parquet"))]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def _forget_unless_whole(folder: Path) -> None:
    """Remove measurements unless their digests vouch for all of them, so that they are made again.

    A call that was killed while it stored a measurement leaves no digests.
    """
    if (folder / _DIGESTS).is_file():
        files = known_state(folder / _DIGESTS).get("files")
        if isinstance(files, dict) and not changed_files(folder, files):
            return
        (folder / _DIGESTS).unlink()
    for path in folder.rglob("*.parquet"):
        path.unlink()


def _run_key(run: FinishedRun) -> str:
    """Return the folder name of a run: readable names and a hash that identifies the weights."""
    digest = weights_digest(str(run.weights))
    if digest is None:
        raise ImaxrayError(f"Expected weights in {run.weights}, but there are none; train again.")
    folder = run.folder.resolve()
    return f"{folder.parent.name}-{folder.name}-{digest[:12]}"
