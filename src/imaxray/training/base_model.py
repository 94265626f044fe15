"""Builds the untrained model that a study or a strategy starts from, and computes digests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imaxray._common.digests import changed_files
from imaxray._common.files import sha256
from imaxray._common.folders import CLAIMED, claim_files
from imaxray._common.state import known_state, write_state
from imaxray.boxes import PERCENT, BoxConvention
from imaxray.curation import Dataset
from imaxray.models import MiniConfig, PhantomConfig, TinyConfig, build_mini, phantom
from imaxray.models.tiny import build_tiny, tiny_convention
from imaxray.schema import image_sizes

_RECORD = "init.json"
_KNOWN_BY = {_RECORD: ('"config"', '"seed"')}  # of an earlier version


def untrained_base(
    shape: PhantomConfig | TinyConfig | MiniConfig,
    data: Sequence[Dataset],
    folder: Path,
    *,
    seed: int,
) -> Path:
    """Build the model that arms start from in ``folder``.

    The tokenizer of a phantom or a miniature learns from the training text; mini-llava has its own.

    ``init.json`` in the folder records the inputs of the model and the digests of its files. If
    they are the same, the existing model is kept; otherwise it is built again, to the same bytes.

    Args:
        shape: Shape of a phantom model or of a miniature model of a real family, or the options of
            mini-llava.
        data: Datasets whose training text the tokenizer learns from.
        folder: Folder of the model.
        seed: Seed of the weights.

    Returns:
        ``folder``.
    """
    known = [] if isinstance(shape, MiniConfig) else [d.sha256 for d in data]
    record = {"config": shape.model_dump(), "data": known, "seed": seed}
    path = folder / _RECORD
    _require_own(folder)
    if _is_kept(path, record):
        return folder
    if isinstance(shape, MiniConfig):
        build_mini(shape, seed=seed).save(folder)
    elif isinstance(shape, PhantomConfig):
        phantom.build(shape, _corpus(data, PERCENT), seed=seed).save(folder)
    else:
        corpus = _corpus(data, tiny_convention(shape.family))
        build_tiny(shape, seed=seed, corpus=corpus).save(folder)
    files = {file.name: sha256(file) for file in sorted(folder.iterdir()) if _is_model_file(file)}
    write_state(path, {**record, "files": files})
    return folder


def _require_own(folder: Path) -> None:
    """Check that a folder is empty or one that an earlier call began, and claim it.

    Raises:
        ImaxrayError: It holds files of the user.
    """
    if (folder / CLAIMED).is_file():
        return
    there = [path.name for path in _visible(folder)]
    claim_files(folder, [_RECORD, *there], "a model to start from", known_by=_KNOWN_BY)


def _visible(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return [path for path in found if not path.name.startswith(".")]


def _corpus(data: Sequence[Dataset], convention: BoxConvention) -> list[str]:
    """Return the texts of the train entries, with their boxes."""
    corpus: list[str] = []
    for one in data:
        sizes = image_sizes(one.tables.images)
        columns = ["prompt", "target", "boxes", "image_id"]
        for prompt, target, boxes, image in one.tables.split("train").select(columns).iter_rows():
            corpus.append(convention.fill(f"{prompt} {target}", boxes or [], *sizes[image]))
    return corpus


def _is_kept(path: Path, record: dict[str, Any]) -> bool:
    """Tell whether the model of a record lies beside the record, unchanged."""
    known = known_state(path)
    files = known.pop("files", None)
    return isinstance(files, dict) and known == record and not changed_files(path.parent, files)


def _is_model_file(path: Path) -> bool:
    return path.is_file() and path.name != _RECORD and not path.name.startswith(".")


def base_digest(model: str, revision: str | None) -> str:
    """Return a digest that identifies a base model, from its bytes or its name and revision."""
    folder = Path(model)
    digest = hashlib.sha256()
    if not folder.is_dir():
        digest.update(f"{model}@{revision}".encode())
        return digest.hexdigest()
    # a hidden file is no part of the model: imaxray remembers there which digests it compared
    files = (p for p in folder.iterdir() if not p.name.startswith("."))
    for path in sorted(p for p in files if p.suffix in (".safetensors", ".json")):
        digest.update(f"{path.name} {sha256(path)}\n".encode())
    return digest.hexdigest()
