"""Makes pseudo annotations from a run and a dataset folder, for ``imaxray annotate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import transformers

from imaxray._folders import growing_folder
from imaxray._ray import require_ray
from imaxray._version import __version__
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.evaluation.generation import require_vllm, versions, weights_digest, weights_of
from imaxray.models import load_model
from imaxray.progress import progress_bar
from imaxray.pseudo.annotating.config import AnnotateConfig, AnnotationEngine, AskConfig
from imaxray.pseudo.annotating.prompts import PromptBook
from imaxray.pseudo.annotating.store import CALIBRATION, CANDIDATES, AnnotationStore
from imaxray.pseudo.annotating.workers import Job, Worker, run_on_ray
from imaxray.schema import task_names
from imaxray.tasks import require_tasks


@dataclass(frozen=True)
class Annotation:
    """A finished annotation: ``candidates.parquet``, ``calibration.parquet``, ``annotate.json``.

    Attributes:
        folder: Folder of these files.
        candidates: Answers of the model to the tasks that images lack (schema PSEUDO), sorted by
            id.
        calibration: Answers of the same model to real validation entries (schema PSEUDO).
        manifest: Content of ``annotate.json``: ``identity`` determines the tables, and ``account``
            holds counts.
    """

    folder: Path
    candidates: pl.DataFrame
    calibration: pl.DataFrame
    manifest: dict[str, Any]

    def summary(self) -> pl.DataFrame:
        """Return one row per task, see :func:`summarise`."""
        return summarise(self.candidates)


def annotate(
    run: str | Path,
    data: Path | Dataset,
    out: Path,
    config: AnnotateConfig | None = None,
) -> Annotation:
    """Let the model of a run answer every task that a train image of a dataset lacks.

    If a call was interrupted, the same call continues it and writes the same bytes, because batches
    are planned from the data alone and each batch is written completely or not at all. A finished
    annotation is only read.

    Args:
        run: Run folder (its ``adapter/`` or ``model/`` is used), registry name, repository id, or
            folder of a model or an adapter.
        data: Dataset, or its folder.
        out: Folder to write.
        config: The prompts, the decoding, and how the model is loaded.

    Raises:
        ImaxrayError: There is no such model or dataset, an option is out of range, ``out`` holds
            annotations of another model, dataset or decoding, or the engine fails.
    """
    config = config or AnnotateConfig()
    # the order in which the user names the tasks must not change the identity
    tasks = tuple(task for task in task_names() if task in config.tasks)
    config = config.model_copy(update={"tasks": tasks})
    if config.engine == "vllm":
        require_vllm()  # before the model is loaded for minutes
    elif config.engine == "ray":
        require_ray()
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    require_tasks(dataset.tables.entries["task"], dataset.folder)
    # Locked before the model is loaded, which takes minutes.
    with growing_folder(out, ("annotate.parts",)):
        return _annotated(run, dataset, out, config)


def _annotated(run: str | Path, dataset: Dataset, out: Path, config: AnnotateConfig) -> Annotation:
    weights = weights_of(run)
    options = {
        "convention": config.boxes, "dtype": config.dtype,
        "device": "cpu" if config.engine == "vllm" else config.device,
        "revision": config.revision, "max_image_tokens": config.max_image_tokens,
    }  # fmt: skip
    transformers.utils.logging.set_verbosity_error()
    chat = load_model(weights, **options)  # type: ignore[arg-type]
    checkpoint = weights_digest(weights) or f"{weights}@{chat.commit}"
    identity = {
        "model": {"name": chat.name, "commit": chat.commit, "weights": checkpoint},
        "boxes": chat.convention.as_dict(),
        "dataset": dataset.sha256,
        "image_cache": ImageStore(dataset).describe(),
        # ray runs the same code as local
        "engine": "vllm" if config.engine == "vllm" else "transformers",
        "config": config.model_dump(mode="json", include={*AskConfig.model_fields}),
        # these settings change rounding, which can change a token when two are nearly equal
        "numbers": {
            "dtype": str(chat.model.dtype), "device": options["device"],
            "image_tokens": config.max_image_tokens,
        },
    }  # fmt: skip
    store = AnnotationStore(out, identity, {"imaxray": __version__, "versions": versions()})
    if not store.finished:
        job = Job(
            weights, dataset.folder.resolve(), store.parts.resolve(), config, checkpoint,
            options, vllm=config.engine == "vllm",
        )  # fmt: skip
        _fill(store, job, Worker(job, chat, dataset), config.engine)
    return Annotation(
        out, store.table(CANDIDATES), store.table(CALIBRATION), store.manifest()
    )  # fmt: skip


def _fill(store: AnnotationStore, job: Job, worker: Worker, engine: AnnotationEngine) -> None:
    """Make the missing parts, then the tables."""
    rest = store.missing(list(worker.batches))
    with progress_bar("Annotating images", total=_images(worker, worker.batches)) as bar:
        bar.advance(_images(worker, worker.batches) - _images(worker, rest))
        made: Iterator[tuple[str, int]]
        made = run_on_ray(job, rest) if engine == "ray" and rest else worker.make(rest)
        for name, _ in made:
            bar.advance(len(worker.batches[name]))
    of = {
        stem: [name for name in worker.batches if name.startswith(stem)]
        for stem in (CANDIDATES, CALIBRATION)
    }
    store.add_to_manifest({"account": _account(store, worker, of[CANDIDATES])})
    store.finish(of[CANDIDATES], of[CALIBRATION])


def _images(worker: Worker, names: Sequence[str] | dict[str, list[str]]) -> int:
    return sum(len(worker.batches[name]) for name in names)


def _account(store: AnnotationStore, worker: Worker, names: Sequence[str]) -> dict[str, Any]:
    """Count annotated images, images left out, and (image, task) pairs without a prompt."""
    table = store.rows(names)
    asked = set(table.select("image_id", "task").unique().iter_rows())
    images = [image for name in names for image in worker.batches[name]]
    return {
        "images": len(images),
        "left_out": worker.left_out,
        "lacking": _lacking(worker.book, images, None),
        "without_prompt": _lacking(worker.book, images, asked),
        "rows": dict(table.group_by("task").len().sort("task").iter_rows()),
        "unreadable": dict(
            table.filter(pl.col("answer").is_null()).group_by("task").len().sort("task").iter_rows()
        ),
    }


def _lacking(
    book: PromptBook, images: Sequence[str], asked: set[tuple[str, str]] | None
) -> dict[str, int]:
    """Count, per task, the images that lack it; with ``asked``, only those without a prompt."""
    counts = dict.fromkeys(task_names(), 0)
    for image in images:
        for task in book.lacks(image):
            counts[task] += asked is None or (image, task) not in asked
    return {task: count for task, count in counts.items() if count}


def summarise(table: pl.DataFrame) -> pl.DataFrame:
    """Summarise a PSEUDO table with one row per task, in the order of the tasks.

    Args:
        table: Pseudo annotations (schema PSEUDO).

    Returns:
        Columns ``task``, ``asked`` (number of prompts), ``readable``, ``mean_logprob`` (nats),
        ``mean_agreement``, and ``template``, ``real``, ``model`` and ``similar``, which count the
        prompts of each origin.
    """
    origins = ("template", "real", "model", "similar")
    grouped = table.group_by("task").agg(
        pl.len().alias("asked"),
        pl.col("answer").is_not_null().sum().alias("readable"),
        pl.col("logprob").mean().alias("mean_logprob"),
        pl.col("agreement").mean().alias("mean_agreement"),
        *((pl.col("prompt_from") == origin).sum().alias(origin) for origin in origins),
    )
    order = {task: place for place, task in enumerate(task_names())}
    return grouped.sort(pl.col("task").replace_strict(order, default=len(order)))
