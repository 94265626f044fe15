"""Prompts a model for a batch of images in several passes and encodes each image only once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import polars as pl
import torch

from imaxray._common.names import require_known
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import Tables
from imaxray.evaluation.generation import (
    EncodedImages,
    Sampling,
    Written,
    end_tokens,
    text_logprobs,
)
from imaxray.hashing import digest
from imaxray.models import ChatModel
from imaxray.progress import progress_bar
from imaxray.pseudo.annotating.answers import Answered, Reader
from imaxray.pseudo.annotating.config import AskConfig
from imaxray.pseudo.annotating.passes import NOTHING, UNSAID, Earlier, Statements, go_through
from imaxray.pseudo.annotating.prompts import Prompt, PromptBook
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import SPLITS, ImageSize, Split, TaskName, image_sizes
from imaxray.tasks import get_task
from imaxray.training import Pixels


class Asked(Protocol):
    """The images of a batch, for which any engine answers prompts."""

    def ask(
        self, prompts: Sequence[Prompt], seeds: Sequence[int] | None
    ) -> list[Written]:  # fmt: skip
        """Answer each prompt, greedily or, with one seed per prompt, by sampling."""
        ...

    def blind(self, prompts: Sequence[Prompt], written: Sequence[Written]) -> list[float | None]:
        """Return the mean log-probability of each answer's tokens without the image, if any."""
        ...


Open = Callable[[Sequence[str]], Asked]
"""Function that prepares the images of a batch for prompts."""


class Local:
    """Answers prompts by ``transformers`` on this machine with shared prefixes; an :data:`Open`.

    Args:
        chat: Model.
        pixels: Prepared image inputs by image id.
        sizes: Width and height of each original image in pixels.
        config: Options of decoding, of which lengths, batch size and temperature are used.
    """

    def __init__(
        self, chat: ChatModel, pixels: Pixels, sizes: Mapping[str, ImageSize], config: AskConfig
    ) -> None:
        self._chat, self._pixels, self._sizes, self._config = chat, pixels, sizes, config

    def __call__(self, images: Sequence[str]) -> Asked:
        """Encode the images of a batch."""
        pixels: dict[str, Mapping[str, torch.Tensor]] = {i: self._pixels[i] for i in images}
        sizes = {image: self._sizes[image] for image in images}
        return _LocalBatch(
            self._chat, EncodedImages(self._chat, sizes, pixels), sizes, self._config
        )


class _LocalBatch:
    def __init__(
        self,
        chat: ChatModel,
        images: EncodedImages,
        sizes: Mapping[str, ImageSize],
        config: AskConfig,
    ) -> None:
        self._chat, self._images, self._sizes, self._config = chat, images, sizes, config

    def ask(self, prompts: Sequence[Prompt], seeds: Sequence[int] | None) -> list[Written]:
        return self._images.ask(
            [prompt.image_id for prompt in prompts],
            [
                self._chat.encode(p.prompt, None, p.boxes, self._sizes[p.image_id]).prompt
                for p in prompts
            ],
            max_new_tokens=self._config.max_new_tokens,
            rows_per_batch=self._config.rows_per_batch,
            sampling=None if seeds is None else Sampling(self._config.temperature, seeds),
            top_k=self._config.top_k if seeds is None else 0,
        )

    def blind(self, prompts: Sequence[Prompt], written: Sequence[Written]) -> list[float | None]:
        return text_logprobs(
            self._chat,
            [self._chat.text_prompt(p.prompt, p.boxes, self._sizes[p.image_id]) for p in prompts],
            [one.ids for one in written],
            rows_per_batch=self._config.rows_per_batch,
        )


class Annotator:
    """Prompts a model for tasks that images lack, or with real entries, batch by batch.

    The rows (schema PSEUDO) of a batch depend only on its images.

    Args:
        reader: Reader of the model's answers.
        open_images: Engine that answers prompts.
        sizes: Width and height of each original image in pixels.
        config: Options that determine the result.
        model: Name of the model, for the table.
        checkpoint: Digest of the weights, for the table.
    """

    def __init__(
        self,
        reader: Reader,
        open_images: Open,
        sizes: Mapping[str, ImageSize],
        config: AskConfig,
        *,
        model: str,
        checkpoint: str,
    ) -> None:
        self._reader, self._open, self._sizes, self._config = reader, open_images, sizes, config
        self._model, self._checkpoint = model, checkpoint

    def candidates(
        self,
        book: PromptBook,
        images: Sequence[str],
        *,
        tasks: Collection[str] | None = None,
        earlier: Earlier = NOTHING,
        stated: Statements = UNSAID,
    ) -> pl.DataFrame:
        """Answer the tasks that the images lack, in three passes with the same encoded images.

        Args:
            book: Makes the prompts.
            images: Ids of the images.
            tasks: Tasks that are answered; ``None`` for all tasks of the book.
            earlier: Answers that other teachers gave to the other tasks.
            stated: What external annotators state.
        """
        batch = self._open(images)
        answered: list[Answered] = []

        def answer(prompts: Sequence[Prompt]) -> Mapping[str, Any]:
            mine = [p for p in prompts if tasks is None or p.task in tasks]
            found = self._ask(batch, mine)
            answered.extend(found)
            return {one.prompt.pseudo_id: one.gold.answer for one in found if one.gold is not None}

        go_through(book, images, answer, earlier, stated=stated)
        return self._table(answered)

    def real(self, entries: Mapping[str, Sequence[Prompt]], images: Sequence[str]) -> pl.DataFrame:
        """Answer real entries of the images, with their own prompts."""
        prompts = [prompt for image in images for prompt in entries[image]]
        return self._table(self._ask(self._open(images), prompts))

    def _ask(self, batch: Asked, prompts: Sequence[Prompt]) -> list[Answered]:
        if not prompts:
            return []
        greedy = batch.ask(prompts, None)
        count = self._config.samples
        drawn: list[Written] = []
        if count:
            # the samples of a prompt are consecutive
            repeated = [prompt for prompt in prompts for _ in range(count)]
            seeds = [
                digest(f"{self._config.seed} {prompt.pseudo_id} {number}")
                for prompt in prompts
                for number in range(count)
            ]
            drawn = batch.ask(repeated, seeds)
        blind: Sequence[float | None] = [None] * len(prompts)
        if self._config.visual_advantage:
            blind = batch.blind(prompts, greedy)
        return [
            self._reader.read(
                prompt, self._sizes[prompt.image_id], written, drawn[k * count : (k + 1) * count],
                blind[k],
            )
            for k, (prompt, written) in enumerate(zip(prompts, greedy, strict=True))
        ]  # fmt: skip

    def _table(self, answered: Sequence[Answered]) -> pl.DataFrame:
        return self._reader.table(answered, self._config, self._model, self._checkpoint)


def make_book(
    tables: Tables,
    config: AskConfig,
    *,
    tasks: Collection[TaskName] | None = None,
    clinical: ClinicalRules = DEFAULT_RULES,
) -> PromptBook:
    """Make the prompt book of a dataset.

    Args:
        tables: Tables of the dataset.
        config: Options of the prompts.
        tasks: Tasks that are prompted for; ``None`` for those of ``config``.
        clinical: Clinical rules with which the dataset was built.
    """
    return PromptBook(
        tables,
        clinical=clinical,
        tasks=config.tasks if tasks is None else tasks,
        vqa_per_image=config.vqa_per_image,
        rec_per_image=config.rec_per_image,
        reg_per_image=config.reg_per_image,
    )


def batches_of(
    chat: ChatModel, images: Sequence[str], sizes: Mapping[str, ImageSize], most: int
) -> list[list[str]]:
    """Divide images into batches of similar numbers of image tokens, which keeps padding small.

    Args:
        chat: Model, which knows the number of image tokens.
        images: Ids of the images.
        sizes: Width and height of each original image in pixels.
        most: Maximum number of images per batch.
    """
    tokens = {size: chat.image_tokens(size) for size in {sizes[image] for image in images}}
    ordered = sorted(images, key=lambda image: (tokens[sizes[image]], image))
    return [ordered[start : start + most] for start in range(0, len(ordered), most)]


def entry_prompts(entries: pl.DataFrame) -> dict[str, list[Prompt]]:
    """Return real entries as prompts, by image; the id of a prompt is the entry id."""
    found: dict[str, list[Prompt]] = {}
    for row in entries.sort("image_id", "entry_id").iter_rows(named=True):
        task = get_task(row["task"])
        asked = row["prompt"].count("<box>")
        boxes = tuple(tuple(box) for box in (row["boxes"] or [])[:asked])
        # a phrase, box or question in the prompt comes from a real annotation
        own = boxes or task.fill_of(row["template"], row["prompt"]) is not None
        found.setdefault(row["image_id"], []).append(
            Prompt(
                row["entry_id"], row["image_id"], row["patient_id"], row["task"], row["template"],
                row["prompt"], boxes, "real" if own else "template",
            )
        )  # fmt: skip
    return found


def annotate_images(
    chat: ChatModel,
    tables: Tables,
    pixels: Pixels,
    config: AskConfig | None = None,
    *,
    checkpoint: str = "",
) -> pl.DataFrame:
    """Let a loaded model answer the tasks that train images of a dataset lack (schema PSEUDO).

    Every image is encoded once, and all its prompts share this prefix. This includes the prompts
    that are built from the model's earlier answers (:mod:`imaxray.pseudo.annotating.prompts`
    describes the passes). Answers are greedy.

    Args:
        chat: Model.
        tables: Tables of the dataset.
        pixels: Prepared inputs of the train images.
        config: Options of prompts and decoding.
        checkpoint: Digest of the weights, for the table.

    Raises:
        ImaxrayError: A prompt is longer than the context of the model.
    """
    config = config or AskConfig()
    book, sizes = make_book(tables, config), image_sizes(tables.images)
    annotator = _local(chat, pixels, sizes, config, checkpoint)
    images, _ = book.images(config.limit)
    frames = [pl.DataFrame(schema=PSEUDO)]
    with progress_bar("Annotating images", total=len(images)) as bar:
        for batch in batches_of(chat, images, sizes, config.images_per_batch):
            frames.append(annotator.candidates(book, batch))
            bar.advance(len(batch))
    return pl.concat(frames).sort("pseudo_id")


def ask_entries(
    chat: ChatModel,
    tables: Tables,
    pixels: Pixels,
    config: AskConfig | None = None,
    *,
    split: Split = "val",
    checkpoint: str = "",
) -> pl.DataFrame:
    """Let a loaded model answer the real entries of a split (schema PSEUDO).

    The ``pseudo_id`` of an answer is the id of its entry.

    Args:
        chat: Model.
        tables: Tables of the dataset.
        pixels: Prepared inputs of the images of the split.
        config: Options of decoding; ``calibration_per_task`` limits the number of entries.
        split: Split of the entries.
        checkpoint: Digest of the weights, for the table.

    Raises:
        ImaxrayError: There is no such split, or a prompt is longer than the context of the model.
    """
    require_known(split, SPLITS, "a split")
    config = config or AskConfig()
    sizes = image_sizes(tables.images)
    annotator = _local(chat, pixels, sizes, config, checkpoint)
    entries = entry_prompts(some_entries(tables.split(split), config))
    frames = [pl.DataFrame(schema=PSEUDO)]
    with progress_bar("Answering real entries", total=len(entries)) as bar:
        for batch in batches_of(chat, list(entries), sizes, config.images_per_batch):
            frames.append(annotator.real(entries, batch))
            bar.advance(len(batch))
    return pl.concat(frames).sort("pseudo_id")


def some_entries(entries: pl.DataFrame, config: AskConfig) -> pl.DataFrame:
    """Draw at most ``calibration_per_task`` entries of each task by a hash of their ids."""
    entries = entries.filter(pl.col("task").is_in(config.tasks))
    if config.calibration_per_task is None:
        return entries
    drawn = pl.Series("_drawn", [digest(e) for e in entries["entry_id"]], dtype=pl.UInt64)
    return (
        entries.with_columns(drawn)
        .sort("_drawn")
        .filter(pl.int_range(pl.len()).over("task") < config.calibration_per_task)
        .drop("_drawn")
    )


def _local(
    chat: ChatModel,
    pixels: Pixels,
    sizes: Mapping[str, ImageSize],
    config: AskConfig,
    checkpoint: str,
) -> Annotator:
    return Annotator(
        Reader(chat, end_tokens(chat)),
        Local(chat, pixels, sizes, config),
        sizes,
        config,
        model=chat.name,
        checkpoint=checkpoint,
    )
