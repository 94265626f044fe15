"""One arm: trained, then asked about the shared test set; runs in a process of its own."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imaxray._files import write_parquet
from imaxray.study.config import StudyConfig
from imaxray.training import RunManifest

if TYPE_CHECKING:
    from imaxray.dynamics import FisherProbe
    from imaxray.models import ChatModel
    from imaxray.training import Pixels


@dataclass(frozen=True)
class ArmJob:
    """Everything a process needs to train and evaluate one arm.

    Attributes:
        name: of the arm, e.g. ``imax``.
        label: of the run, for progress bars: the arm, and its seed where there are several.
        dataset: dataset folder.
        init: folder of the initial model that all arms of this seed share.
        processor: folder of an initial model of any seed; a process prepares images once for all
            runs that name the same.
        out: run folder; predictions go beside the run as ``predictions.parquet``.
        layout: packed or separate rows.
        steps: optimizer steps.
        seed: of the schedule.
        config: the study's.
        probes: entries that the run's dynamics are measured on; None: they are not.
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
    """Manifest of an arm's run, with the arm and the seed."""

    arm: str
    seed: int


def run_study_arm(job: ArmJob) -> ArmRun:
    """Train and evaluate one arm; a finished one is not repeated."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # never spin on a shared machine
    import torch  # late: after the wait policy is set
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
    if not predictions.exists():
        answers = generate(
            trained,
            test,
            encode_entries(trained, test, tables.images, with_target=False),
            pixels,
            max_new_tokens=job.config.evaluation.max_new_tokens,
            images_per_batch=job.config.evaluation.images_per_batch,
        )
        write_parquet(predictions, answers)
    if job.probes is not None:
        measure_crossed(trained, job.probes, data.folder.parent, job.out)
    found: ArmRun = {**run.manifest, "arm": job.name, "seed": job.seed}
    found["image_cache"] = ImageStore(data).describe()
    return found


@lru_cache(maxsize=2)  # both datasets of a study
def _images(dataset: Path, sha256: str, processor: Path) -> Pixels:  # noqa: ARG001
    """Model inputs of all train and test images; ``sha256`` tells one build from the next."""
    from imaxray.cache import ImageStore
    from imaxray.curation import open_dataset
    from imaxray.models import phantom
    from imaxray.training import prepare_images

    data = open_dataset(dataset)
    splits = (data.tables.split(split)["image_id"].unique() for split in ("train", "test"))
    used = sorted(set().union(*splits))
    return prepare_images(phantom.load(processor), used, ImageStore(data))


def _probe(job: ArmJob, chat: ChatModel, probes: Path) -> FisherProbe:
    """The probe on the shared val split; a run that was made without this probe goes."""
    from imaxray.dynamics import FisherProbe
    from imaxray.study.probes import VAL, probe_of
    from imaxray.training.run_folder import set_aside

    dynamics = job.config.dynamics
    assert dynamics is not None
    probe = probe_of(chat, probes, VAL, job.dataset.parent)
    told = job.out / "dynamics" / "probe.json"
    about = json.loads(told.read_text()) if told.exists() else {}
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
    """Entries a run has seen so far, from its learning curve; for progress bars."""
    try:
        last = (out / "curve.jsonl").read_text().splitlines()[-1]
        return int(json.loads(last)["entries_seen"])
    except (OSError, IndexError, ValueError, KeyError):
        return 0
