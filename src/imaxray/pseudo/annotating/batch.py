"""A batch of images, asked pass by pass; the images stay encoded between the passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import polars as pl
import torch

from imaxray.curation import Tables
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import EncodedImages, Sampling, Written, end_tokens
from imaxray.hashing import digest
from imaxray.models import ChatModel
from imaxray.progress import progress_bar
from imaxray.pseudo.annotating.answers import Answered, Reader
from imaxray.pseudo.annotating.config import AskConfig
from imaxray.pseudo.annotating.prompts import Given, Prompt, PromptBook
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import SPLITS, ImageSize, Split, image_sizes
from imaxray.tasks import get_task
from imaxray.training import Pixels


class Asked(Protocol):
    """Images of a batch that can be asked, whatever engine does it."""

    def ask(
        self, prompts: Sequence[Prompt], seeds: Sequence[int] | None
    ) -> list[Written]:  # fmt: skip
        """Answer each prompt: greedily, or drawn with these seeds."""
        ...


Open = Callable[[Sequence[str]], Asked]
"""From the images of a batch to what they can be asked by."""


class Local:
    """``transformers`` here, prefixes shared; an :data:`Open`.

    Args:
        chat: the model.
        pixels: prepared image inputs by image id.
        sizes: width and height of each original.
        config: lengths and batch sizes.
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
        )


class Annotator:
    """Asks batches of images what they lack, or real entries; rows of PSEUDO come back.

    What a batch gives depends on its images alone.

    Args:
        reader: reads the model's answers.
        open_images: the engine.
        sizes: width and height of each original.
        config: what decides the result.
        model: name, for the table.
        checkpoint: digest of its weights, likewise.
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

    def candidates(self, book: PromptBook, images: Sequence[str]) -> pl.DataFrame:
        """What the images lack, in three passes over the same prefixes."""
        batch = self._open(images)
        given = {image: Given() for image in images}
        answered: list[Answered] = []
        passes: Sequence[Callable[[str], list[Prompt]]] = (
            book.first,
            lambda image: book.second(image, given[image]),
            lambda image: book.third(image, given[image]),
        )
        for prompts_of in passes:
            prompts = [prompt for image in images for prompt in prompts_of(image)]
            for one in self._ask(batch, prompts):
                answered.append(one)
                if one.gold is not None:
                    given[one.prompt.image_id].take(one.prompt.task, one.gold.answer)
        return self._table(answered)

    def real(self, entries: Mapping[str, Sequence[Prompt]], images: Sequence[str]) -> pl.DataFrame:
        """Real entries of the images, as they are."""
        prompts = [prompt for image in images for prompt in entries[image]]
        return self._table(self._ask(self._open(images), prompts))

    def _ask(self, batch: Asked, prompts: Sequence[Prompt]) -> list[Answered]:
        if not prompts:
            return []
        greedy = batch.ask(prompts, None)
        count = self._config.samples
        drawn: list[Written] = []
        if count:
            # samples of a prompt lie together
            repeated = [prompt for prompt in prompts for _ in range(count)]
            seeds = [
                digest(f"{self._config.seed} {prompt.pseudo_id} {number}")
                for prompt in prompts
                for number in range(count)
            ]
            drawn = batch.ask(repeated, seeds)
        return [
            self._reader.read(
                prompt, self._sizes[prompt.image_id], written, drawn[k * count : (k + 1) * count]
            )
            for k, (prompt, written) in enumerate(zip(prompts, greedy, strict=True))
        ]

    def _table(self, answered: Sequence[Answered]) -> pl.DataFrame:
        return self._reader.table(answered, self._config, self._model, self._checkpoint)


def make_book(tables: Tables, config: AskConfig) -> PromptBook:
    """The prompts of a dataset."""
    return PromptBook(
        tables,
        tasks=config.tasks,
        vqa_per_image=config.vqa_per_image,
        rec_per_image=config.rec_per_image,
        reg_per_image=config.reg_per_image,
    )


def batches_of(
    chat: ChatModel, images: Sequence[str], sizes: Mapping[str, ImageSize], most: int
) -> list[list[str]]:
    """Batches of images; such with as many image tokens go together, which keeps padding small."""
    tokens = {size: chat.image_tokens(size) for size in {sizes[image] for image in images}}
    ordered = sorted(images, key=lambda image: (tokens[sizes[image]], image))
    return [ordered[start : start + most] for start in range(0, len(ordered), most)]


def entry_prompts(entries: pl.DataFrame) -> dict[str, list[Prompt]]:
    """Real entries as prompts, by image; each keeps its id."""
    found: dict[str, list[Prompt]] = {}
    for row in entries.sort("image_id", "entry_id").iter_rows(named=True):
        task = get_task(row["task"])
        asked = row["prompt"].count("<box>")
        boxes = tuple(tuple(box) for box in (row["boxes"] or [])[:asked])
        # what is asked about is a real annotation's phrase, box or question, or there is none
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
    """Let a loaded model answer what the train images of a dataset lack (schema PSEUDO).

    Every image is encoded once: its prompts share that prefix, also the prompts that are made of
    the model's own answers (:mod:`imaxray.pseudo.annotating.prompts` describes the passes).
    Answers are greedy.

    Args:
        chat: the model.
        tables: of the dataset.
        pixels: prepared inputs of its train images.
        config: what is asked, and how.
        checkpoint: digest of the weights, for the table.

    Raises:
        ImaxrayError: a prompt longer than the model's context.
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
    """The same model asked the real entries of a split; ``pseudo_id`` is their entry id.

    Args:
        chat: the model.
        tables: of the dataset.
        pixels: prepared inputs of the split's images.
        config: how; ``calibration_per_task`` limits the entries.
        split: whose entries.
        checkpoint: digest of the weights, for the table.

    Raises:
        ImaxrayError: no such split, or a prompt longer than the model's context.
    """
    if split not in SPLITS:
        raise ImaxrayError(f"Expected a split, one of {', '.join(SPLITS)}, but got {split}.")
    config = config or AskConfig()
    sizes = image_sizes(tables.images)
    annotator = _local(chat, pixels, sizes, config, checkpoint)
    entries = entry_prompts(some_entries(tables.split(split), config))
    frames = [pl.DataFrame(schema=PSEUDO)]
    with progress_bar("Asking real entries", total=len(entries)) as bar:
        for batch in batches_of(chat, list(entries), sizes, config.images_per_batch):
            frames.append(annotator.real(entries, batch))
            bar.advance(len(batch))
    return pl.concat(frames).sort("pseudo_id")


def some_entries(entries: pl.DataFrame, config: AskConfig) -> pl.DataFrame:
    """At most ``calibration_per_task`` entries of each task, drawn by their ids."""
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
