"""From a model and a dataset folder to predictions and scores: what ``imaxray evaluate`` calls."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import transformers

from imaxray._version import __version__
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.config import EvaluateConfig, ScoreConfig
from imaxray.evaluation.generation.answering import answers
from imaxray.evaluation.generation.image_prefetch import ImagesAhead
from imaxray.evaluation.generation.prediction_store import PredictionStore
from imaxray.evaluation.generation.units import Unit, plan
from imaxray.evaluation.generation.vllm_engine import VllmEngine, require_vllm
from imaxray.evaluation.predictions import read_predictions
from imaxray.evaluation.result import Result, score_run, write_result
from imaxray.models import ChatModel, load_model
from imaxray.progress import progress_bar
from imaxray.schema import SPLITS, image_sizes
from imaxray.training import encode_entries, weights_digest, weights_of

_PACKAGES: Final = ("torch", "transformers", "tokenizers", "peft", "vllm")


@dataclass(frozen=True)
class Evaluation:
    """An evaluated model: ``predictions.parquet``, ``scores.parquet``, ``result.json``.

    Attributes:
        folder: where they lie.
        predictions: schema PREDICTIONS, sorted by entry id.
        result: their scores with intervals and baselines, and what decided them.
        unfinished: answers that were cut at the greatest length.
    """

    folder: Path
    predictions: pl.DataFrame
    result: Result
    unfinished: int


def evaluate_model(
    model: str | Path,
    data: Path | Dataset,
    out: Path | None = None,
    config: EvaluateConfig | None = None,
) -> Evaluation:
    """Ask a model every entry of a split, keep what it wrote, and score it.

    The same call again goes on where a killed one was, with the same predictions: batches are
    planned from the entries alone and answered whole. A finished one is scored again at once.

    Args:
        model: run folder (its ``adapter/`` or ``model/`` is taken), registry name, repository id,
            or folder of a model or an adapter.
        data: dataset folder.
        out: folder to write. Default: ``evaluation/DATASET-SPLIT`` in the run or model folder, or
            ``evaluation/MODEL/DATASET-SPLIT`` here for a model that is named.
        config: the split, the batches, the engine, and how the model is loaded.

    Raises:
        ImaxrayError: no such model, dataset or split; ``out`` holds predictions of another
            model, dataset or decoding; or what the parts raise.
    """
    config = config or EvaluateConfig()
    data = data if isinstance(data, Dataset) else open_dataset(data)
    entries = _entries(data, config.split)
    if config.engine == "vllm":
        require_vllm()  # before minutes of loading
    weights = weights_of(model)
    transformers.utils.logging.set_verbosity_error()
    chat = load_model(
        weights,
        convention=config.boxes,
        dtype=config.dtype,
        device=config.device if config.engine == "local" else "cpu",
        revision=config.revision,
        max_image_tokens=config.max_image_tokens,
    )
    convention = chat.convention
    images = ImageStore(data)
    identity = {
        "model": {"name": chat.name, "commit": chat.commit, "weights": weights_digest(weights)},
        "boxes": convention.as_dict(),
        "dataset": data.sha256,
        "image_cache": images.describe(),
        "split": config.split,
        "engine": config.engine,
        "decoding": {"greedy": True, "max_new_tokens": config.max_new_tokens},
        # what decides rounding, and so a token in a tie
        "batches": {
            "images": config.images_per_batch, "rows": config.rows_per_batch,
            "dtype": str(chat.model.dtype),
            "device": config.device if config.engine == "local" else "vllm",
            "image_tokens": config.max_image_tokens,
        },
    }  # fmt: skip
    folder = out or _default(model, chat, data, config.split)
    store = PredictionStore(folder, identity, {"imaxray": __version__, "versions": versions()})
    if not store.finished:
        _fill(store, chat, data, images, entries, weights, config)
    predictions = store.finish(set(entries["entry_id"]))
    result = score_run(data, read_predictions(folder), convention, ScoreConfig(split=config.split))
    write_result(result, folder)
    return Evaluation(folder, predictions, result, int((~predictions["ended"]).sum()))


def _fill(
    store: PredictionStore,
    chat: ChatModel,
    data: Dataset,
    images: ImageStore,
    entries: pl.DataFrame,
    weights: str,
    config: EvaluateConfig,
) -> None:
    """Answer the batches that have no part yet, one part a batch."""
    encoded = encode_entries(chat, entries, data.tables.images, with_target=False)
    batches = plan(
        chat,
        entries,
        encoded,
        images_per_batch=config.images_per_batch,
        rows_per_batch=config.rows_per_batch,
    )
    done = store.answered()
    rest = [
        (number, units)
        for number, units in enumerate(batches)
        if not all(entry in done for unit in units for entry in unit.entry_ids)
    ]
    frames: Iterator[pl.DataFrame]
    todo = [units for _, units in rest]
    sizes = image_sizes(data.tables.images)
    with progress_bar("Generating answers", total=entries.height) as bar:
        bar.advance(len(done))
        if config.engine == "vllm":
            base, adapter = served(weights)
            server = VllmEngine(
                chat,
                base,
                revision=config.revision,
                adapter=adapter,
                max_new_tokens=config.max_new_tokens,
            )
            frames = server.answers([_of(entries, units) for units in todo], images, sizes)
            _store(store, rest, frames, bar.advance)
            return
        order = [unit.image_id for units in todo for unit in units]
        with ImagesAhead(
            order,
            lambda image_id: chat.pixels(images(image_id), sizes[image_id]),
            ahead=config.images_per_batch,
            workers=1,
        ) as pixels:
            frames = answers(chat, todo, encoded, pixels, config.max_new_tokens)
            _store(store, rest, frames, bar.advance)


def _store(
    store: PredictionStore,
    rest: Sequence[tuple[int, Sequence[Unit]]],
    frames: Iterator[pl.DataFrame],
    advance: Callable[[int], None],
) -> None:
    for (number, _), frame in zip(rest, frames, strict=True):
        store.add(f"{number:06}", frame)
        advance(frame.height)


def served(weights: str) -> tuple[str, Path | None]:
    """Base model and adapter, as vLLM wants them apart."""
    folder = Path(weights)
    if not (folder / "adapter_config.json").is_file():
        return weights, None
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    return str(base), folder


def _entries(data: Dataset, split: str) -> pl.DataFrame:
    if split not in SPLITS:
        raise ImaxrayError(f"Expected a split, one of {', '.join(SPLITS)}, but got {split}.")
    entries = data.tables.split(split)
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected entries in the split {split} of {data.folder}, but it has none; name "
            "another --split, or a dataset that has one."
        )
    return entries


def _of(entries: pl.DataFrame, units: Sequence[Unit]) -> pl.DataFrame:
    ids = [entry for unit in units for entry in unit.entry_ids]
    return pl.DataFrame({"entry_id": ids}).join(
        entries, on="entry_id", how="left", maintain_order="left"
    )


def _default(model: str | Path, chat: ChatModel, data: Dataset, split: str) -> Path:
    name = f"{data.folder.resolve().name}-{split}"
    folder = Path(model)
    if folder.is_dir():
        return folder / "evaluation" / name
    return Path("evaluation") / chat.name.replace("/", "--") / name


def versions() -> dict[str, str]:
    """Versions of what decides the rounding."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
