"""Evaluates a model on a dataset: predictions and scores, as ``imaxray evaluate`` does."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import polars as pl
import torch
import transformers

from imaxray._version import __version__
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.evaluation.config import EvaluateConfig
from imaxray.evaluation.generation.answering import answers
from imaxray.evaluation.generation.hosted import answer_hosted, evaluate_hosted
from imaxray.evaluation.generation.image_prefetch import ImagesAhead
from imaxray.evaluation.generation.outcome import (
    Answers,
    Evaluation,
    entries_of,
    scored,
    subfolder,
    writing,
)
from imaxray.evaluation.generation.prediction_store import PredictionStore
from imaxray.evaluation.generation.units import Unit, plan
from imaxray.evaluation.generation.vllm_engine import VllmEngine, require_vllm
from imaxray.models import ChatModel, adapter_base, load_model
from imaxray.progress import progress_bar
from imaxray.schema import image_sizes
from imaxray.tasks import require_tasks
from imaxray.training import encode_entries, weights_digest, weights_of

_PACKAGES: Final = ("torch", "transformers", "tokenizers", "peft", "vllm")


def evaluate_model(
    model: str | Path,
    data: Path | Dataset,
    out: Path | None = None,
    config: EvaluateConfig | None = None,
) -> Evaluation:
    """Prompt a model with every entry of a split, store its answers, and score them.

    The same call again continues an interrupted evaluation with the same predictions, because
    batches are planned from the entries alone and answered as a whole. A finished evaluation is
    only scored again.

    Args:
        model: Run folder (its ``adapter/`` or ``model/`` is used), registry name, repository id, or
            folder of a model or an adapter. With the engine ``openai``: the name of the model on
            the server.
        data: Dataset folder, or an open dataset.
        out: Output folder. Default: ``evaluation/DATASET-SPLIT`` in the run or model folder, or
            ``evaluation/MODEL/DATASET-SPLIT`` in the current folder if the model is given by name.
        config: Settings of the split, the batches, the engine, and the loading of the model.

    Raises:
        ImaxrayError: If the model, dataset or split does not exist; if ``out`` holds predictions of
            another model, dataset or decoding; or if a part of the evaluation raises.
    """
    config = config or EvaluateConfig()
    if config.engine == "openai":
        return evaluate_hosted(str(model), data, out, config)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    # scoring, which follows the answers, compares with baselines of the train entries
    require_tasks(data.tables.entries["task"], data.folder)
    with _maybe_writing(out := _own_folder(model, data, out, config.split)):
        given = answer_model(model, data, out, config)
        with writing(given.folder):
            return scored(given, data, config)


def answer_model(
    model: str | Path,
    data: Path | Dataset,
    out: Path | None = None,
    config: EvaluateConfig | None = None,
) -> Answers:
    """Prompt a model with every entry of a split and store its answers, without scoring them.

    It continues and repeats as :func:`evaluate_model` does, and takes the same arguments.

    Raises:
        ImaxrayError: As :func:`evaluate_model`, except what concerns scoring.
    """
    config = config or EvaluateConfig()
    if config.engine == "openai":
        return answer_hosted(str(model), data, out, config)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    with _maybe_writing(out := _own_folder(model, data, out, config.split)):
        return _answered(model, data, out, config)


def _own_folder(model: str | Path, data: Dataset, out: Path | None, split: str) -> Path | None:
    """Return the folder of the answers; None if it follows from the name of a loaded model."""
    if out is None and Path(model).is_dir():
        return Path(model) / "evaluation" / subfolder(data, split)
    return out


def _maybe_writing(folder: Path | None) -> AbstractContextManager[None]:
    """Lock the folder before the model is loaded, which takes minutes."""
    return nullcontext() if folder is None else writing(folder)


def _answered(
    model: str | Path, data: Dataset, out: Path | None, config: EvaluateConfig
) -> Answers:
    entries = entries_of(data, config.split)
    if config.engine == "vllm":
        require_vllm()  # checked first, because loading the model takes minutes
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
        # These settings decide rounding, and with it the token in a tie.
        "batches": {
            "images": config.images_per_batch, "rows": config.rows_per_batch,
            "dtype": str(chat.model.dtype),
            "device": config.device if config.engine == "local" else "vllm",
            "image_tokens": config.max_image_tokens,
            **({"threads": config.threads} if chat.model.device.type == "cpu" else {}),
        },
    }  # fmt: skip
    name = chat.name.replace("/", "--")
    folder = out or Path("evaluation") / name / subfolder(data, config.split)
    with writing(folder):
        store = PredictionStore(folder, identity, {"imaxray": __version__, "versions": versions()})
        if not store.finished:
            if config.engine == "local":
                torch.set_num_threads(config.threads)
            _fill(store, chat, data, images, entries, weights, config)
        predictions = store.finish(set(entries["entry_id"]))
    return Answers(folder, predictions, convention)


def _fill(
    store: PredictionStore,
    chat: ChatModel,
    data: Dataset,
    images: ImageStore,
    entries: pl.DataFrame,
    weights: str,
    config: EvaluateConfig,
) -> None:
    """Answer the batches that have no part yet, and store one part per batch."""
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
    """Return base model and adapter separately, as vLLM needs them."""
    folder = Path(weights)
    if not (folder / "adapter_config.json").is_file():
        return weights, None
    return adapter_base(folder), folder


def _of(entries: pl.DataFrame, units: Sequence[Unit]) -> pl.DataFrame:
    ids = [entry for unit in units for entry in unit.entry_ids]
    return pl.DataFrame({"entry_id": ids}).join(
        entries, on="entry_id", how="left", maintain_order="left"
    )


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect rounding."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
