"""One arm: trained, then asked about the shared test set; runs in a process of its own."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from imaxray.study.config import StudyConfig


@dataclass(frozen=True)
class ArmJob:
    """Everything a process needs to train and evaluate one arm.

    Attributes:
        name: of the arm, e.g. ``imax``.
        dataset: dataset folder.
        init: folder of the shared initial model.
        out: run folder; predictions go beside the run as ``predictions.parquet``.
        layout: packed or separate rows.
        steps: optimizer steps.
        config: the study's.
    """

    name: str
    dataset: Path
    init: Path
    out: Path
    layout: Literal["packed", "separate"]
    steps: int
    config: StudyConfig


def run_arms(jobs: list[ArmJob]) -> list[dict[str, Any]]:
    """Run several arms one after the other in this process; returns their run manifests."""
    return [run_arm(job) for job in jobs]


def run_arm(job: ArmJob) -> dict[str, Any]:
    """Train and evaluate one arm; a finished one is not repeated."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # never spin on a shared machine
    import torch  # late: after the wait policy is set
    import transformers

    from imaxray.cache import ImageStore
    from imaxray.curation import open_dataset
    from imaxray.evaluation.generation import generate
    from imaxray.models import phantom
    from imaxray.training import encode_entries, prepare_images, train

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(job.config.training.threads)
    data = open_dataset(job.dataset)
    tables = data.tables
    chat = phantom.load(job.init)
    training = job.config.training.model_copy(update={"steps": job.steps})
    learn, test = tables.split("train"), tables.split("test")
    used = sorted({*learn["image_id"].unique(), *test["image_id"].unique()})
    image_of = ImageStore(data)
    pixels = prepare_images(chat, used, image_of)
    run = train(
        chat,
        learn,
        encode_entries(chat, learn, tables.images),
        pixels,
        job.out,
        layout=job.layout,
        config=training,
        seed=job.config.seed,
        progress=False,
    )
    predictions = job.out / "predictions.parquet"
    if not predictions.exists():
        trained = phantom.load(job.out / "model")
        answers = generate(
            trained,
            test,
            encode_entries(trained, test, tables.images, with_target=False),
            pixels,
            max_new_tokens=job.config.evaluation.max_new_tokens,
            images_per_batch=job.config.evaluation.images_per_batch,
        )
        aside = predictions.with_suffix(".part")
        answers.write_parquet(aside)
        aside.rename(predictions)
    return {**run.manifest, "arm": job.name, "image_cache": image_of.describe()}


def entries_seen(out: Path) -> int:
    """Entries a run has seen so far, from its learning curve; for progress bars."""
    try:
        last = (out / "curve.jsonl").read_text().splitlines()[-1]
        return int(json.loads(last)["entries_seen"])
    except (OSError, IndexError, ValueError, KeyError):
        return 0
