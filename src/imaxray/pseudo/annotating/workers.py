"""Annotates batches of images on this machine, on a Ray cluster, or by vLLM.

A worker opens model and data itself from a :class:`Job` and makes parts by name. The engines
``local`` and ``ray`` therefore write the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl
import torch
import transformers

from imaxray._common.files import read_parquet
from imaxray._common.ray import ray_cluster
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import (
    ImagesAhead,
    Sampling,
    VllmEngine,
    Written,
    add_part,
    end_tokens,
    served,
)
from imaxray.models import ChatModel, load_model
from imaxray.pseudo.annotating.answers import Reader
from imaxray.pseudo.annotating.batch import (
    Annotator,
    Asked,
    Local,
    Open,
    batches_of,
    entry_prompts,
    make_book,
    some_entries,
)
from imaxray.pseudo.annotating.config import AskConfig
from imaxray.pseudo.annotating.passes import answers_of, statements_of
from imaxray.pseudo.annotating.prompts import Prompt
from imaxray.pseudo.annotating.sittings import needed_by
from imaxray.pseudo.annotating.store import CALIBRATION, CANDIDATES
from imaxray.schema import ImageSize, image_sizes

_EARLIER: Final = ("pseudo_id", "image_id", "task", "answer", "prompt_from")


@dataclass(frozen=True)
class Job:
    """The description of an annotation from which a worker on any machine can make any part.

    Attributes:
        weights: Model name or folder, as :func:`imaxray.models.load_model` accepts it.
        data: Dataset folder.
        parts: Folder for the parts.
        config: Options that determine the result.
        checkpoint: Digest of the weights.
        options: Options of ``load_model``: convention, dtype, device, revision and
            max_image_tokens.
        vllm: Whether vLLM answers the prompts.
        tasks: Tasks that this job answers; empty for all tasks of ``config``.
        earlier: Files with the answers of other teachers (schema PSEUDO), each with the tasks whose
            answers are read from it.
    """

    weights: str
    data: Path
    parts: Path
    config: AskConfig
    checkpoint: str
    options: dict[str, Any]
    vllm: bool = False
    tasks: tuple[str, ...] = ()
    earlier: tuple[tuple[Path, tuple[str, ...]], ...] = ()

    @property
    def own_tasks(self) -> tuple[str, ...]:
        """The tasks that this job answers."""
        return self.tasks or self.config.tasks


class Worker:
    """Makes the parts of one job.

    Args:
        job: Description of the annotation.
        chat: Model, if it is already loaded.
        data: Dataset, if it is already open.

    Attributes:
        images: Ids of all images that lack a task, also of those that lack only tasks of other
            teachers.
        earlier: Answers of other teachers.
        stated: What external annotators state.
    """

    def __init__(
        self, job: Job, chat: ChatModel | None = None, data: Dataset | None = None
    ) -> None:
        self.job = job
        transformers.utils.logging.set_verbosity_error()
        torch.set_num_threads(job.config.threads)
        self.chat = chat or load_model(job.weights, **job.options)
        self._data = data or open_dataset(job.data)
        tables = self._data.tables
        self._sizes = image_sizes(tables.images)
        self._images = ImageStore(self._data)
        self._ends = end_tokens(self.chat)
        own = frozenset(job.own_tasks)
        around = own | needed_by(own, job.config.tasks)
        self.book = make_book(tables, job.config, tasks=around, clinical=self._data.clinical)
        val = tables.split("val").filter(pl.col("task").is_in(own))
        self._entries = entry_prompts(some_entries(val, job.config))
        self.images, self.left_out = self.book.images(job.config.limit, job.config.tasks)
        self.earlier: dict[str, Any] = {}
        self.stated: dict[str, list[tuple[str, Any]]] = {}
        for path, tasks in job.earlier:
            rows = read_parquet(path, columns=_EARLIER).filter(pl.col("task").is_in(tasks))
            self.earlier |= answers_of(rows)
            for image, said in statements_of(rows).items():
                self.stated.setdefault(image, []).extend(said)
        images = [image for image in self.images if self.book.lacks(image) & own]
        self.batches: dict[str, list[str]] = {}
        for stem, ids in ((CANDIDATES, images), (CALIBRATION, list(self._entries))):
            batches = batches_of(self.chat, ids, self._sizes, job.config.images_per_batch)
            self.batches |= {f"{stem}-{k:06}": batch for k, batch in enumerate(batches)}

    def make(self, names: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Make these parts; yield the name and the number of rows of each when it is written."""
        if self.job.vllm:
            yield from self._make(
                names, _Served(self._server, self._images, self._sizes, self.job.config.temperature)
            )
            return
        order = [image for name in names for image in self.batches[name]]
        with ImagesAhead(
            order,
            lambda image: self.chat.pixels(self._images(image), self._sizes[image]),
            ahead=self.job.config.images_per_batch,
            workers=1,
        ) as pixels:
            local = Local(self.chat, pixels, self._sizes, self.job.config)
            yield from self._make(names, local)

    def _make(self, names: Sequence[str], engine: Open) -> Iterator[tuple[str, int]]:
        annotator = Annotator(
            Reader(self.chat, self._ends), engine, self._sizes, self.job.config,
            model=self.chat.name, checkpoint=self.job.checkpoint,
        )  # fmt: skip
        for name in names:
            images = self.batches[name]
            table = (
                annotator.candidates(
                    self.book,
                    images,
                    tasks=self.job.own_tasks,
                    earlier=self.earlier,
                    stated=self.stated,
                )
                if name.startswith(CANDIDATES)
                else annotator.real(self._entries, images)
            )
            add_part(table, self.job.parts, name)
            yield name, table.height

    @cached_property
    def _server(self) -> VllmEngine:
        base, adapter = served(self.job.weights)
        return VllmEngine(
            self.chat, base, revision=self.job.options.get("revision"), adapter=adapter,
            max_new_tokens=self.job.config.max_new_tokens,
        )  # fmt: skip


class _Served:
    """Answers prompts by vLLM, which batches and caches image prefixes itself; an ``Open``."""

    def __init__(
        self,
        server: VllmEngine,
        images: ImageStore,
        sizes: Mapping[str, ImageSize],
        temperature: float,
    ) -> None:
        self._server, self._images, self._sizes = server, images, sizes
        self._temperature = temperature

    def __call__(self, images: Sequence[str]) -> Asked:  # noqa: ARG002 - an Open
        return self  # vLLM receives image and prompt together

    def ask(self, prompts: Sequence[Prompt], seeds: Sequence[int] | None) -> list[Written]:
        return self._server.write(
            [(p.image_id, p.prompt, p.boxes) for p in prompts],
            self._images,
            self._sizes,
            sampling=None if seeds is None else Sampling(self._temperature, seeds),
        )

    def blind(self, prompts: Sequence[Prompt], written: Sequence[Written]) -> list[float | None]:
        raise NotImplementedError("annotate refuses visual_advantage with the engine vllm")


def run_on_ray(job: Job, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Make parts by Ray Data, with one row per batch and one worker with the model per CPU or GPU.

    The cluster that this process is connected to is used, else the cluster that ``RAY_ADDRESS`` or
    Ray itself knows, else a new one on this machine. All nodes must see model, data and the folder
    of the parts under the same paths.

    Raises:
        ImaxrayError: Ray is not installed, a cluster cannot be reached, or a worker fails.
    """
    with ray_cluster() as ray:
        yield from _by_ray_data(ray, job, names)


class _RayWorker:
    """A :class:`Worker` as an actor of Ray Data."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        made = list(self._worker.make([str(name) for name in batch["name"]]))
        return {"name": [name for name, _ in made], "rows": [rows for _, rows in made]}


def _by_ray_data(ray: Any, job: Job, names: Sequence[str]) -> Iterator[tuple[str, int]]:

    on_gpu = str(job.options.get("device", "cpu")).startswith("cuda")
    has = ray.cluster_resources()
    threads = job.config.threads
    free = int(has.get("GPU", 1)) if on_gpu else (int(has.get("CPU", 1)) - 1) // threads
    workers = max(1, min(free, len(names)))
    ray.data.DataContext.get_current().enable_progress_bars = False
    made = (
        ray.data.from_items([{"name": name} for name in names], override_num_blocks=len(names))
        .map_batches(
            _RayWorker,
            fn_constructor_args=(job,),
            batch_size=1,
            concurrency=(1, workers),
            **({"num_gpus": 1} if on_gpu else {"num_cpus": threads}),
        )
        .iter_rows()
    )
    try:
        for row in made:
            yield str(row["name"]), int(row["rows"])
    except ray.exceptions.RayError as error:
        if (told := _told(error)) is not None:
            raise told from None
        raise ImaxrayError(
            f"Expected the Ray cluster to annotate every batch, but got {type(error).__name__}; "
            "run the command again, finished batches are kept."
        ) from error


def _told(error: BaseException) -> ImaxrayError | None:
    """Return the error meant for the user that Ray has wrapped, if there is one."""
    found: BaseException | None = error
    for _ in range(8):  # Ray wraps errors of tasks and of user code, possibly several times
        if found is None or isinstance(found, ImaxrayError):
            return found
        found = getattr(found, "cause", None) or found.__cause__
    return None
