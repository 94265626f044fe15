"""A finished run, loaded again: its weights, what of them was trained, its saved checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from imaxray._files import sha256
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, load_model
from imaxray.training.checkpoint import COMPLETE, read_weights
from imaxray.training.config import TrainingConfig
from imaxray.training.method import make_trainable
from imaxray.training.run_manifest import RunManifest


def weights_of(model: str | Path) -> str:
    """What :func:`imaxray.models.load_model` takes: of a run folder, its weights.

    Raises:
        ImaxrayError: a run folder whose run is not finished.
    """
    folder = Path(model)
    if not ((folder / "run.json").is_file() or (folder / "started.json").is_file()):
        return str(model)
    for name in ("adapter", "model"):
        if (folder / "run.json").is_file() and (folder / name).is_dir():
            return str(folder / name)
    raise ImaxrayError(
        f"Expected a finished run at {folder}, but it has no weights yet; start the same training "
        "again, which goes on where it was."
    )


def weights_digest(weights: str) -> str | None:
    """Sha256 over the files of a local model; a repository is known by its commit."""
    folder = Path(weights)
    if not folder.is_dir():
        return None
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.json")):
        whole.update(f"{path.name} {sha256(path)}".encode())
    return whole.hexdigest()


class FinishedRun:
    """A run folder whose training is over: from ``imaxray train`` or a study.

    Attributes:
        folder: of the run.
        weights: folder of its ``adapter`` or ``model``.
        config: what it was trained by.
        entries_seen: at its end.

    Raises:
        ImaxrayError: the folder holds no run, or one that is not finished.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.weights = Path(weights_of(folder))
        if self.weights == folder:
            raise ImaxrayError(
                f"Expected the folder of a run at {folder}, but it has no run.json; name one that "
                "`imaxray train` or `imaxray study` wrote."
            )
        self._manifest: RunManifest = json.loads((folder / "run.json").read_text())
        identity = self._manifest["identity"]
        self._seed = int(identity["seed"])
        self.config = TrainingConfig.model_validate(identity["config"])
        self.entries_seen = int(self._manifest["entries_seen"])

    def load(self, *, device: torch.device | str = "cpu") -> ChatModel:
        """The final model, in eval mode, with the parameters trainable that the run trained."""
        precision = self._manifest.get("recipe", {}).get("precision", "auto")
        dtype = precision if precision == "auto" else getattr(torch, precision)
        chat = load_model(str(self.weights), dtype=dtype, device=device)
        make_trainable(chat, self.config, self._seed)
        return chat

    def checkpoints(self) -> dict[int, Path]:
        """Entries seen → whole checkpoint that is still in the folder, ascending.

        A finished run removes its own; these are such as somebody put back.
        """
        found = {
            int(path.parent.name.rpartition("-")[2]) * self.config.entries_per_step: path.parent
            for path in self.folder.glob(f"checkpoints/checkpoint-*/{COMPLETE}")
        }
        return dict(sorted(found.items()))

    def states(self, chat: ChatModel, wanted: dict[int, Path | None]) -> Iterator[int]:
        """Put ``chat``, as :meth:`load` gave it, into one state after the other.

        Args:
            chat: is changed in place; what it is after the last state is left as it is.
            wanted: entries seen → checkpoint, or None for the final model.

        Yields:
            The entries seen of the state that ``chat`` is in now, the final model's first.
        """
        for seen, checkpoint in sorted(wanted.items(), key=lambda item: item[1] is not None):
            if checkpoint is not None:
                read_weights(chat.model, checkpoint)
            yield seen
