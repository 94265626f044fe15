"""Loads a finished run: its weights, which parameters were trained, and saved checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NotRequired, TypedDict

import torch

from imaxray._common.config import validated
from imaxray._common.digests import changed_files, model_digest
from imaxray._common.files import sha256
from imaxray._common.state import read_state
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, load_model
from imaxray.training.config import TrainingConfig
from imaxray.training.method import make_trainable
from imaxray.training.runs.checkpoint import complete_checkpoints, read_weights
from imaxray.training.runs.folder import files_of_training
from imaxray.training.runs.manifest import RunManifest

_TRAIN_AGAIN: Final = "train it again in another folder"


class _Files(TypedDict):
    """The part of run.json that every folder with weights of ours has, also of earlier versions."""

    files: NotRequired[dict[str, str]]


def weights_of(model: str | Path) -> str:
    """Return the weights folder of a run folder, and any other model name unchanged.

    Raises:
        ImaxrayError: If ``model`` is a run folder whose run is not finished.
    """
    folder = Path(model)
    if not ((folder / "run.json").is_file() or (folder / "started.json").is_file()):
        return str(model)
    for name in ("adapter", "model"):
        if (folder / "run.json").is_file() and (folder / name).is_dir():
            _require_unchanged(folder)
            return str(folder / name)
    raise ImaxrayError(
        f"Expected a finished run at {folder}, but it has no weights yet; start the same training "
        "again, which continues from the last checkpoint."
    )


def _require_unchanged(folder: Path) -> None:
    """Compare a run's files with its manifest; each file is read once and then known by its time.

    Raises:
        ImaxrayError: If a file is missing or has another content.
    """
    manifest = read_state(folder / "run.json", _Files, advice=_TRAIN_AGAIN)
    changed = changed_files(folder, files_of_training(manifest))
    if changed:
        raise ImaxrayError(
            f"Expected the run {folder} as its run.json describes it, but {changed[0]} is missing "
            "or was changed; train it again in another folder."
        )


def weights_digest(weights: str) -> str | None:
    """Return the SHA-256 of a local model's files, or None for a repository (it has a commit)."""
    folder = Path(weights)
    if not folder.is_dir():
        return None
    paths = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".json")]
    return model_digest({p.name: sha256(p) for p in paths if not p.name.startswith(".")})


class FinishedRun:
    """Gives access to a run folder of a finished training of ``imaxray train`` or a study.

    Attributes:
        folder: Run folder.
        weights: Folder ``adapter`` or ``model`` of the run.
        config: Configuration that the run was trained with.
        entries_seen: Number of entries seen at the end of training.

    Raises:
        ImaxrayError: If the folder holds no run, or a run that is not finished.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.weights = Path(weights_of(folder))
        if self.weights == folder:
            raise ImaxrayError(
                f"Expected the folder of a run at {folder}, but it has no run.json; name a folder "
                "that `imaxray train` or `imaxray study` wrote."
            )
        self._manifest: RunManifest = read_state(
            folder / "run.json", RunManifest, advice=_TRAIN_AGAIN
        )
        identity = self._manifest["identity"]
        self._seed = int(identity["seed"])
        self.config = validated(TrainingConfig, identity["config"], where=str(folder / "run.json"))
        self.entries_seen = int(self._manifest["entries_seen"])

    def load(self, *, device: torch.device | str = "cpu") -> ChatModel:
        """Load the final model in eval mode; the parameters that the run trained are trainable."""
        precision = self._manifest.get("recipe", {}).get("precision", "auto")
        dtype = precision if precision == "auto" else getattr(torch, precision)
        chat = load_model(str(self.weights), dtype=dtype, device=device)
        make_trainable(chat, self.config, self._seed)
        return chat

    def checkpoints(self) -> dict[int, Path]:
        """Map entries seen to the complete checkpoints that are still in the folder, ascending.

        A finished run removes its own checkpoints; those found here were copied back by a user.
        """
        found = complete_checkpoints(self.folder / "checkpoints")
        return {step * self.config.entries_per_step: path for step, path in found.items()}

    def states(self, chat: ChatModel, wanted: dict[int, Path | None]) -> Iterator[int]:
        """Put ``chat``, which :meth:`load` returned, into one state after the other.

        Args:
            chat: Model that is changed in place; it keeps the last state.
            wanted: Mapping from entries seen to a checkpoint, or to None for the final model.

        Yields:
            The number of entries seen of the state that ``chat`` is in; the final model comes
            first.
        """
        for seen, checkpoint in sorted(wanted.items(), key=lambda item: item[1] is not None):
            if checkpoint is not None:
                read_weights(chat.model, checkpoint)
            yield seen
