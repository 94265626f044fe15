"""Lets one model answer its tasks for all images, in one folder that can be continued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl
import transformers

from imaxray._version import __version__
from imaxray.cache import ImageStore
from imaxray.curation import Dataset
from imaxray.evaluation.generation import versions, weights_digest, weights_of
from imaxray.models import load_model
from imaxray.progress import progress_bar
from imaxray.pseudo.annotating.config import AnnotateConfig, AnnotationEngine
from imaxray.pseudo.annotating.known import exact_rules
from imaxray.pseudo.annotating.passes import answers_of, count_left_out
from imaxray.pseudo.annotating.prompts import PROMPTS_VERSION, LeftOut, PromptBook
from imaxray.pseudo.annotating.store import CALIBRATION, CANDIDATES, AnnotationStore
from imaxray.pseudo.annotating.workers import Job, Worker, run_on_ray
from imaxray.schema import task_names


@dataclass(frozen=True)
class Share:
    """The tasks that one of several teachers answers, and what the others have answered.

    Attributes:
        keys: Task of this teacher → digest of everything that its answers depend on.
        earlier: Files with the answers of other teachers (schema PSEUDO), each with the tasks whose
            answers are read from it.
    """

    keys: Mapping[str, str]
    earlier: tuple[tuple[Path, tuple[str, ...]], ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that this teacher answers."""
        return tuple(self.keys)


ALONE: Final = Share(MappingProxyType({}))
"""The share of a model that answers all tasks."""


def answer_by_model(
    run: str | Path,
    dataset: Dataset,
    out: Path,
    config: AnnotateConfig,
    share: Share = ALONE,
) -> AnnotationStore:
    """Let a model answer its share of the tasks, or continue to do so.

    Args:
        run: Model, see :func:`imaxray.annotate`.
        dataset: Dataset whose images lack tasks.
        out: Folder to write.
        config: The prompts, the decoding, and how the model is loaded.
        share: Tasks of this model if there are other teachers.

    Returns:
        The finished folder.

    Raises:
        ImaxrayError: There is no such model, or ``out`` holds other annotations.
    """
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
        **identity_of_question(dataset, config),
        # these settings change rounding, which can change a token when two are nearly equal
        "numbers": {
            "dtype": str(chat.model.dtype), "device": options["device"],
            "image_tokens": config.max_image_tokens,
        },
        **({"tasks": dict(share.keys)} if share.keys else {}),
    }  # fmt: skip
    store = AnnotationStore(out, identity, {"imaxray": __version__, "versions": versions()})
    if not store.finished:
        job = Job(
            weights, dataset.folder.resolve(), store.parts.resolve(), config, checkpoint,
            options, vllm=config.engine == "vllm", tasks=share.tasks, earlier=share.earlier,
        )  # fmt: skip
        _fill(store, job, Worker(job, chat, dataset), config.engine)
    return store


def identity_of_question(dataset: Dataset, config: AnnotateConfig) -> dict[str, Any]:
    """Return what the answers of every teacher depend on: the data, the prompts, the decoding."""
    # the digest of the dataset does not cover a block that changed nothing in its build
    rules = exact_rules(dataset.clinical)
    return {
        "dataset": dataset.sha256,
        "image_cache": ImageStore(dataset).describe(),
        "prompts": {"version": PROMPTS_VERSION, **({"rules": rules} if rules else {})},
        # ray runs the same code as local
        "engine": "vllm" if config.engine == "vllm" else "transformers",
        "config": config.decides(),
    }


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
    images = [image for name in names for image in worker.batches[name]]
    answers = {**worker.earlier, **answers_of(table)}
    left_out = count_left_out(worker.book, images, answers, worker.stated)
    return account_of(
        worker.book, images, worker.job.own_tasks, table, left_out,
        total=len(worker.images), excluded=worker.left_out,
    )  # fmt: skip


def account_of(
    book: PromptBook,
    images: Sequence[str],
    tasks: Sequence[str],
    table: pl.DataFrame,
    left_out: LeftOut,
    *,
    total: int,
    excluded: Mapping[str, int],
) -> dict[str, Any]:
    """Count what was asked and what was not, for the manifest.

    Args:
        book: Knows which tasks images lack.
        images: Images that the teacher was given.
        tasks: Tasks of the teacher.
        table: Its answers (schema PSEUDO).
        left_out: Prompts with known answers.
        total: Number of images that lack a task of any teacher.
        excluded: Number of images left out per reason.
    """
    asked = set(table.select("image_id", "task").unique().iter_rows())
    known: dict[str, dict[str, int]] = {}
    for (task, reason), count in sorted(left_out.items()):
        if task in tasks:
            known.setdefault(task, {})[reason] = count
    unreadable = table.filter(pl.col("answer").is_null())
    return {
        "images": total,
        "left_out": dict(excluded),
        "lacking": _lacking(book, images, tasks, None),
        "without_prompt": _lacking(book, images, tasks, asked),
        "known": known,
        "rows": dict(table.group_by("task").len().sort("task").iter_rows()),
        "unreadable": dict(unreadable.group_by("task").len().sort("task").iter_rows()),
    }


def _lacking(
    book: PromptBook,
    images: Sequence[str],
    tasks: Sequence[str],
    asked: set[tuple[str, str]] | None,
) -> dict[str, int]:
    """Count, per task, the images that lack it; with ``asked``, only those without a prompt."""
    counts = dict.fromkeys(task_names(), 0)
    for image in images:
        for task in book.lacks(image) & {*tasks}:
            counts[task] += asked is None or (image, task) not in asked
    return {task: count for task, count in counts.items() if count}
