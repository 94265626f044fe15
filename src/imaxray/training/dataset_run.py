"""Trains a model from a dataset folder and a recipe, as ``imaxray train`` does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import torch
import transformers
from accelerate import PartialState
from transformers import TrainerCallback

from imaxray._common.files import write_parquet
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, load_model
from imaxray.schema import image_sizes
from imaxray.tasks import require_tasks
from imaxray.training.augmenting.augmenter import Augmenter
from imaxray.training.backend import attention_of, prepare_attention, require_backend
from imaxray.training.memory import told_when_memory_runs_out
from imaxray.training.recipe import Recipe
from imaxray.training.run import Run, train
from imaxray.training.runs.folder import DROPS_FILE, only_writer
from imaxray.training.steps.conversation import Conversations
from imaxray.training.steps.dataset import Examples
from imaxray.training.steps.images import ImageLoader, LazyImages, LazyPictures, PictureLoader
from imaxray.training.steps.soft import read_soft
from imaxray.training.steps.token_store import DROPS, Encoded, encode_split


def train_dataset(
    dataset: Path | Dataset,
    out: Path,
    recipe: Recipe,
    *,
    image_loader: ImageLoader | None = None,
    picture_loader: PictureLoader | None = None,
    callbacks: Callable[[ChatModel, Dataset], Sequence[TrainerCallback]] | None = None,
    progress: bool = True,
    overwrite: bool = False,
    operations: bool = False,
) -> Run:
    """Train a model on a dataset folder and write the run folder ``out``.

    The run folder gets ``adapter/`` (LoRA) or ``model/``, which
    :func:`imaxray.models.load_model` reads; ``run.json`` (model, commit, dataset, configuration,
    versions, entries drawn and dropped, speed); ``schedule.parquet`` (the entries of each step);
    ``curve.jsonl`` and ``evaluations.jsonl`` (losses, also by task); ``drops.parquet``. An
    interrupted run is resumed.

    Args:
        dataset: Dataset folder, or an open dataset.
        out: Run folder. The same call again returns a finished run, or resumes an interrupted one.
        recipe: Model, layout and configuration.
        image_loader: Function from image ids to model inputs. If None, each image is read from the
            image cache of the dataset if there is one, or decoded when it is needed. The most
            recent images are kept in memory, up to ``image_cache_mb``.
        picture_loader: Function from image ids to the pictures that ``recipe.augment`` changes;
            needed with ``image_loader``. If None, pictures are read as images are.
        callbacks: Function that makes callbacks of the Trainer from the loaded model and the
            dataset; see :func:`train`.
        progress: Whether to show the progress of the steps, as bar or as lines of a log.
        overwrite: Whether another run in ``out`` gives way; see :func:`train`.
        operations: Whether to count floating-point operations; see :func:`train`.

    Raises:
        ImaxrayError: If ``out`` holds another run or other files, there is no train split, the
            model is unknown or has no image input, no entry fits into its context, memory runs out,
            or a part of the training raises.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    learn = _of_tasks(data.tables.split("train"), recipe)
    if learn.is_empty():
        of = f" of {', '.join(recipe.tasks)}" if recipe.tasks else ""
        raise ImaxrayError(
            f"Expected a train split in {data.folder}, but it has no entry{of}; name a dataset of "
            "`imaxray build` or `imaxray match` that has one."
        )
    require_tasks(data.tables.entries["task"], data.folder)
    if recipe.augment is not None and image_loader is not None and picture_loader is None:
        raise ImaxrayError(
            "Expected picture_loader with image_loader for a recipe with augment, because prepared "
            "inputs cannot be augmented; give it, or leave out image_loader or augment."
        )
    require_backend(recipe)
    quiet = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        with only_writer(out):
            with told_when_memory_runs_out(recipe):
                chat = load_model(
                    recipe.model,
                    convention=recipe.boxes,
                    dtype=_precision(recipe),
                    revision=recipe.revision,
                    attention=attention_of(recipe),
                    max_image_tokens=recipe.max_image_tokens,
                    quantization=recipe.quantization,
                    device="cpu" if recipe.quantization is None else PartialState().device,
                )
            prepare_attention(chat, recipe)
            return _train(
                chat, data, learn, out, recipe, image_loader, picture_loader, callbacks, progress,
                overwrite, operations,
            )  # fmt: skip
    finally:
        transformers.utils.logging.set_verbosity(quiet)


def _train(
    chat: ChatModel,
    data: Dataset,
    learn: pl.DataFrame,
    out: Path,
    recipe: Recipe,
    loader: ImageLoader | None,
    picture_loader: PictureLoader | None,
    callbacks: Callable[[ChatModel, Dataset], Sequence[TrainerCallback]] | None,
    progress: bool,
    overwrite: bool,
    operations: bool,
) -> Run:
    ready = encode_split(chat, learn, data.tables.images)
    validation, unseen = _validation(chat, data, recipe, loader)
    drops = pl.concat([ready.drops, unseen])
    budget = recipe.tokens_per_batch
    if budget is not None and ready.longest > budget:
        raise ImaxrayError(
            f"Expected at least {ready.longest} tokens per batch, the length of the longest entry, "
            f"but --tokens-per-batch is {budget}; raise it."
        )
    for code, tokens in ready.drops.group_by("code").agg(pl.col("tokens").max()).iter_rows():
        count = ready.drops.filter(pl.col("code") == code).height
        limit = f" ({chat.context_length} tokens; the longest has {tokens})" if tokens else ""
        warnings.warn(
            f"{count:,} of {learn.height:,} entries are left out: {code}{limit}; see drops.parquet",
            stacklevel=2,
        )
    examples = _examples(chat, data, ready, recipe, loader)
    augmenter = _augmenter(chat, data, examples.entries, recipe, picture_loader)
    config = recipe.training()
    soft = read_soft(data.folder, chat) if config.target == "soft" else None
    run = train(
        chat,
        examples.entries,
        examples.encoded,
        examples.pixels,
        out,
        layout=recipe.layout,
        config=config,
        seed=recipe.seed,
        conversations=examples.conversations,
        augmenter=augmenter,
        soft=soft,
        validation=validation,
        about={
            "dataset": data.sha256,
            "dataset_folder": data.folder.name,
            "model": {
                "name": recipe.model,
                "commit": chat.commit,
                "type": chat.model.config.model_type,
                "convention": chat.convention.name,
            },
            "recipe": recipe.model_dump(mode="json"),
            "entries": examples.entries.height,
            "dropped": ready.counts(),
            "image_cache": None if loader else ImageStore(data).describe(),
        },
        callbacks=() if callbacks is None else callbacks(chat, data),
        progress=progress,
        overwrite=overwrite,
        operations=operations,
        drops=drops,
    )
    if PartialState().is_main_process and not (out / DROPS_FILE).exists():
        write_parquet(out / DROPS_FILE, drops)  # of a finished run, which may have lost it
    return run


def _of_tasks(entries: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    if recipe.tasks is None:
        return entries
    return entries.filter(pl.col("task").is_in(recipe.tasks))


def _validation(
    chat: ChatModel, data: Dataset, recipe: Recipe, loader: ImageLoader | None
) -> tuple[Examples | None, pl.DataFrame]:
    val = _of_tasks(data.tables.split("val"), recipe)
    if recipe.eval_every is None:
        return None, pl.DataFrame(schema=DROPS)
    if val.is_empty():
        raise ImaxrayError(
            f"Expected a val split in {data.folder} for --eval-every, but it has no entry; leave "
            "--eval-every out, or build the dataset with a val split."
        )
    ready = encode_split(chat, val, data.tables.images)
    return _examples(chat, data, ready, recipe, loader), ready.drops


def _examples(
    chat: ChatModel, data: Dataset, ready: Encoded, recipe: Recipe, loader: ImageLoader | None
) -> Examples:
    ids = ready.entries["image_id"].unique().sort().to_list()
    image_of = ImageStore(data)
    sizes = image_sizes(data.tables.images)
    # The size is that of the original image, because a cached copy must yield as many tokens as
    # were written into the prompt.
    load = loader or (lambda image_id: chat.pixels(image_of(image_id), sizes[image_id]))
    conversations = (
        Conversations(chat, ready.entries, data.tables.images)
        if recipe.layout == "conversation"
        else None
    )
    return Examples(
        ready.entries,
        ready.tokens,
        LazyImages(ids, load, recipe.image_cache_mb),
        conversations,
    )


def _augmenter(
    chat: ChatModel,
    data: Dataset,
    entries: pl.DataFrame,
    recipe: Recipe,
    loader: PictureLoader | None,
) -> Augmenter | None:
    if recipe.augment is None:
        return None
    ids = entries["image_id"].unique().sort().to_list()
    image_of, sizes = ImageStore(data), image_sizes(data.tables.images)
    load = loader or (lambda image_id: chat.picture(image_of(image_id), sizes[image_id]))
    return Augmenter(
        chat,
        recipe.augment,
        seed=recipe.seed,
        entries=entries,
        images=data.tables.images,
        pictures=LazyPictures(ids, load, recipe.image_cache_mb),
    )


def _precision(recipe: Recipe) -> torch.dtype | str:
    return "auto" if recipe.precision == "auto" else getattr(torch, recipe.precision)
