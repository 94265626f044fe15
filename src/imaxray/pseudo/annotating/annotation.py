"""Makes pseudo annotations from a run and a dataset folder, for ``imaxray annotate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imaxray._common.folders import growing_folder, require_other_folder
from imaxray._common.ray import require_ray
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import require_vllm
from imaxray.pseudo.annotating.config import AnnotateConfig
from imaxray.pseudo.annotating.model_answers import answer_by_model
from imaxray.pseudo.annotating.store import CALIBRATION, CANDIDATES
from imaxray.pseudo.annotating.teachers import answer_by_teachers
from imaxray.pseudo.annotators import find_annotator
from imaxray.pseudo.table import ORIGINS
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

    ``config.teachers`` names other models for some tasks. A question that the image's own entries
    answer is not asked.

    If a call was interrupted, the same call continues it and writes the same bytes, because batches
    are planned from the data alone and each batch is written completely or not at all. A finished
    annotation is only read. If other teachers are named for some tasks than in an earlier call,
    only these tasks, and those whose prompts are made from their answers, are answered again.

    Args:
        run: Run folder (its ``adapter/`` or ``model/`` is used), registry name, repository id, or
            folder of a model or an adapter; or the name of an external annotator
            (docs/adding-an-annotator.md).
        data: Dataset, or its folder.
        out: Folder to write.
        config: The prompts, the decoding, and how the model is loaded.

    Raises:
        ImaxrayError: There is no such model or dataset, an option is out of range, ``out`` holds
            annotations of another model, dataset or decoding, or the engine fails.
    """
    config = config or AnnotateConfig()
    # else a dataset would hold files that its manifest does not name
    require_other_folder(out, data.folder if isinstance(data, Dataset) else data)
    if (annotator := find_annotator(str(run))) is not None and (
        "tasks" not in config.model_fields_set
    ):
        every = {*annotator.tasks, *config.teachers}
        config = config.model_copy(update={"tasks": tuple(every)})
    # the order in which the user names the tasks must not change the identity
    tasks = tuple(task for task in task_names() if task in config.tasks)
    config = config.model_copy(update={"tasks": tasks})
    if config.engine == "vllm" and config.visual_advantage:
        raise ImaxrayError(
            "Expected the engine local or ray to measure the visual advantage, but got vllm, which "
            "reads no answer without its image; leave --visual-advantage out, or choose another "
            "engine."
        )
    if config.engine == "vllm":
        require_vllm()  # before the model is loaded for minutes
    elif config.engine == "ray":
        require_ray()
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    require_tasks(dataset.tables.entries["task"], dataset.folder)
    # Locked before the model is loaded, which takes minutes.
    with growing_folder(out, ("annotate.parts",)):
        if config.teachers or annotator is not None:
            store = answer_by_teachers(run, dataset, out, config)
        else:
            store = answer_by_model(run, dataset, out, config)
        return Annotation(
            out, store.table(CANDIDATES), store.table(CALIBRATION), store.manifest()
        )  # fmt: skip


def summarise(table: pl.DataFrame) -> pl.DataFrame:
    """Summarise a PSEUDO table with one row per task, in the order of the tasks.

    Args:
        table: Pseudo annotations (schema PSEUDO).

    Returns:
        Columns ``task``, ``asked`` (number of prompts), ``readable``, ``mean_logprob`` (nats),
        ``mean_agreement``, and one column per origin of prompts (``template``, ``real``, ``model``,
        ``similar``, ``annotator``), which counts them.
    """
    origins = ORIGINS
    grouped = table.group_by("task").agg(
        pl.len().alias("asked"),
        pl.col("answer").is_not_null().sum().alias("readable"),
        pl.col("logprob").mean().alias("mean_logprob"),
        pl.col("agreement").mean().alias("mean_agreement"),
        *((pl.col("prompt_from") == origin).sum().alias(origin) for origin in origins),
    )
    order = {task: place for place, task in enumerate(task_names())}
    return grouped.sort(pl.col("task").replace_strict(order, default=len(order)))
