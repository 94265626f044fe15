"""Trains one arm and lets it answer the shared test set, in a process of its own."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from imaxray._digests import changed_files
from imaxray._files import sha256, write_json, write_parquet
from imaxray._state import known_state, read_state_lines
from imaxray.study.config import StudyConfig
from imaxray.training import RunManifest

if TYPE_CHECKING:
    from imaxray.dynamics import FisherProbe
    from imaxray.models import ChatModel
    from imaxray.training import Pixels

_ANSWERED: Final = "predictions.json"
"""Name of the file in a run folder that holds the digest of its answers."""


@dataclass(frozen=True)
class ArmJob:
    """Holds everything that a process needs to train and evaluate one arm.

    Attributes:
        name: Name of the arm, e.g. ``imax``.
        label: Name of the run in progress bars: the arm, and its seed if there are several.
        dataset: Dataset folder that the arm trains on.
        init: Folder of the initial model that all arms of this seed share.
        processor: Folder of an initial model of any seed. A process prepares the images only once
            for all runs with the same folder.
        out: Run folder; the predictions are written into it as ``predictions.parquet``.
        layout: Layout of the sequences, packed or separate.
        steps: Number of optimizer steps.
        seed: Seed of the schedule.
        config: Configuration of the study.
        probes: File of the entries that the dynamics of the run are measured on; None if they are
            not measured.
    """

    name: str
    label: str
    dataset: Path
    init: Path
    processor: Path
    out: Path
    layout: Literal["packed", "separate"]
    steps: int
    seed: int
    config: StudyConfig
    probes: Path | None = None


class ArmRun(RunManifest):
    """Manifest of a run, with its arm and its seed."""

    arm: str
    seed: int


def run_study_arm(job: ArmJob) -> ArmRun:
    """Train one arm and write its answers to the test set; finished work is not repeated."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave the cores free
    import torch  # imported here, because torch reads the wait policy when it is loaded
    import transformers

    from imaxray.cache import ImageStore
    from imaxray.curation import open_dataset
    from imaxray.evaluation.generation import generate
    from imaxray.models import phantom
    from imaxray.study.probes import measure_crossed
    from imaxray.training import encode_entries, train

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(job.config.training.threads)
    data = open_dataset(job.dataset)
    tables = data.tables
    chat = phantom.load(job.init)
    callbacks = [] if job.probes is None else [_probe(job, chat, job.probes)]
    training = job.config.training.model_copy(update={"steps": job.steps})
    learn, test = tables.split("train"), tables.split("test")
    pixels = _images(job.dataset, data.sha256, job.processor)
    run = train(
        chat,
        learn,
        encode_entries(chat, learn, tables.images),
        pixels,
        job.out,
        layout=job.layout,
        config=training,
        seed=job.seed,
        callbacks=callbacks,
        progress=False,
        overwrite=True,
    )
    predictions = job.out / "predictions.parquet"
    trained = phantom.load(job.out / "model")
    if not _is_answered(job.out):
        answers = generate(
            trained,
            test,
            encode_entries(trained, test, tables.images, with_target=False),
            pixels,
            max_new_tokens=job.config.evaluation.max_new_tokens,
            images_per_batch=job.config.evaluation.images_per_batch,
        )
        write_parquet(predictions, answers)
        write_json(job.out / _ANSWERED, {"files": {predictions.name: sha256(predictions)}})
    if job.probes is not None:
        measure_crossed(trained, job.probes, data.folder.parent, job.out)
    found: ArmRun = {**run.manifest, "arm": job.name, "seed": job.seed}
    found["image_cache"] = ImageStore(data).describe()
    return found


def _is_answered(run: Path) -> bool:
    """Tell whether the answers of a run are there as they were written."""
    files = known_state(run / _ANSWERED).get("files")
    return isinstance(files, dict) and not changed_files(run, files)


@lru_cache(maxsize=2)  # a study trains on two datasets
def _images(dataset: Path, sha256: str, processor: Path) -> Pixels:  # noqa: ARG001
    """Return the model inputs of all train and test images.

    ``sha256`` is a part of the cache key, so that a new build of the dataset is prepared again.
    """
    from imaxray.cache import ImageStore
    from imaxray.curation import open_dataset
    from imaxray.models import phantom
    from imaxray.training import prepare_images

    data = open_dataset(dataset)
    splits = (data.tables.split(split)["image_id"].unique() for split in ("train", "test"))
    used = sorted(set().union(*splits))
    return prepare_images(phantom.load(processor), used, ImageStore(data))


def _probe(job: ArmJob, chat: ChatModel, probes: Path) -> FisherProbe:
    """Return the callback that measures the probe of the shared val split.

    A run that was begun with another probe, or without one, is deleted and starts again.
    """
    from imaxray.dynamics import FisherProbe
    from imaxray.study.probes import VAL, probe_of
    from imaxray.training.run_folder import set_aside

    dynamics = job.config.dynamics
    assert dynamics is not None
    probe = probe_of(chat, probes, VAL, job.dataset.parent)
    told = job.out / "dynamics" / "probe.json"
    about = known_state(told)
    begun = (job.out / "started.json").exists()
    if begun and (about.get("entry_ids"), about.get("every")) != (list(probe.ids), dynamics.every):
        set_aside(job.out)
    return FisherProbe(
        probe,
        job.out / "dynamics",
        every=dynamics.every,
        entries_per_step=job.config.training.entries_per_step,
    )


def entries_seen(out: Path) -> int:
    """Return the number of entries that a run has seen, read from its learning curve."""
    path = out / "curve.jsonl"
    if not path.exists():
        return 0
    advice = "remove the folder of the run, so that it is trained again"
    from imaxray.training import CurvePoint

    lines = read_state_lines(path, CurvePoint, advice=advice, cut_end=True)
    return int(lines[-1]["entries_seen"]) if lines else 0
