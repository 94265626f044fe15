"""Turns entries of a dataset into a probe and measures a model on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from imaxray.cache import ImageStore
from imaxray.curation import Dataset
from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.probing.batches import separate_inputs
from imaxray.dynamics.probing.callbacks import FisherProbe, Probe, answer_tokens
from imaxray.dynamics.probing.entries import probe_entries
from imaxray.dynamics.recording.fisher import empirical_fisher
from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import collate, separate
from imaxray.schema import image_sizes
from imaxray.training import LazyImages, Pixels, encode_entries


def make_probe(
    chat: ChatModel,
    chosen: pl.DataFrame,
    images: pl.DataFrame,
    pixels: Pixels,
    *,
    tokens_per_batch: int | None = None,
) -> Probe:
    """Turn entries into model inputs, one separate row per entry, in the order of ``chosen``.

    Args:
        chat: Model whose tokenizer and processor make the inputs.
        chosen: Entries that :func:`probe_entries` returned (schema ENTRIES with ``stratum``).
        images: Images with schema IMAGES, for the sizes that boxes refer to.
        pixels: Image inputs by image id.
        tokens_per_batch: Maximum number of tokens per pass, padding included. If None, all entries
            go through one pass, whose rows are freed layer by layer. Several passes need memory for
            N times the trainable parameters.
    """
    encoded = encode_entries(chat, chosen, images)
    rows = list(chosen.select("entry_id", "image_id").iter_rows())
    batches = []
    for part in _cut([encoded[entry] for entry, _ in rows], tokens_per_batch):
        batch = collate(
            [separate(encoded[rows[k][0]]) for k in part], pad=int(chat.tokenizer.pad_token_id or 0)
        )
        batches.append(separate_inputs(batch, chat.join([pixels[rows[k][1]] for k in part])))
    return Probe(
        batches=batches,
        ids=tuple(entry for entry, _ in rows),
        tasks=tuple(chosen["task"].cast(pl.String)),
        images=tuple(image for _, image in rows),
        tokens=tuple(len(encoded[entry].target) for entry, _ in rows),
        strata=tuple(chosen["stratum"]),
    )


def dataset_images(chat: ChatModel, data: Dataset, image_ids: Sequence[str]) -> LazyImages:
    """Return the image inputs of a dataset by image id; each is prepared when it is first used."""
    image_of = ImageStore(data)
    sizes = image_sizes(data.tables.images)
    return LazyImages(image_ids, lambda i: chat.pixels(image_of(i), sizes[i]), 0)


def measure_probe(model: Any, probe: Probe, *, leave_out: Sequence[str] = ()) -> Gram:
    """Compute the Gram matrix of ``probe`` under ``model`` for its trainable parameters."""
    return empirical_fisher(
        model, probe.batches, leave_out=leave_out, ids=probe.ids, tasks=probe.tasks,
        images=probe.images, tokens=answer_tokens(probe),
    )  # fmt: skip


def probe_while_training(
    out: Path,
    size: int,
    *,
    every: int,
    entries_per_step: int,
    split: str = "val",
    tokens_per_batch: int | None = None,
) -> Callable[[ChatModel, Dataset], list[FisherProbe]]:
    """Return a function that :func:`imaxray.training.train_dataset` takes as ``callbacks``.

    Args:
        out: Run folder; measurements are written to ``dynamics`` in it.
        size: Number of entries of the probe, which :func:`probe_entries` chooses.
        every: Number of entries between measurements.
        entries_per_step: Number of entries per optimizer step in the recipe.
        split: Split whose entries are measured.
        tokens_per_batch: Token limit of a batch, see :func:`make_probe`.
    """

    def callbacks(chat: ChatModel, data: Dataset) -> list[FisherProbe]:
        chosen = probe_entries(data.tables.split(split), size)
        pixels = dataset_images(chat, data, chosen["image_id"].unique().sort().to_list())
        probe = make_probe(
            chat, chosen, data.tables.images, pixels, tokens_per_batch=tokens_per_batch
        )
        folder = out / "dynamics"
        return [FisherProbe(probe, folder, every=every, entries_per_step=entries_per_step)]

    return callbacks


def _cut(encoded: Sequence[EncodedEntry], budget: int | None) -> list[list[int]]:
    """Cut consecutive rows into batches up to the budget, keeping the order of the entries."""
    if budget is None:
        return [list(range(len(encoded)))]
    parts: list[list[int]] = []
    longest = 0
    for k, entry in enumerate(encoded):
        length = len(entry.prompt) + len(entry.target)
        if parts and max(longest, length) * (len(parts[-1]) + 1) <= budget:
            parts[-1].append(k)
            longest = max(longest, length)
        else:
            parts.append([k])
            longest = length
    return parts
