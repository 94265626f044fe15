"""Writes and reads checkpoints of the trained tensors under the model's own names.

The Trainer would write vision-language models under their hub names, which a plain load does not
find again, and a PEFT model by another code path. It would write frozen weights each time, and an
interruption while it writes would leave a folder that looks like a checkpoint. Here a checkpoint
holds only trained tensors, and counts only once its last file, :data:`COMPLETE`, exists.
"""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypedDict

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from imaxray._common.files import sha256
from imaxray._common.state import read_state, write_state
from imaxray.errors import ImaxrayError

COMPLETE: Final = "complete.json"
_WEIGHTS: Final = "trained.safetensors"
_UNFIT: Final = (
    pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError, TypeError,
    AttributeError, IndexError,
)  # fmt: skip
"""What the loading of a state raises that is damaged or would run code (``weights_only``)."""


class _Curve(TypedDict):
    seconds: float
    cpu_seconds: float
    sums: list[float]


class _State(TypedDict):
    """The content of :data:`COMPLETE`, by which a run continues."""

    curve: _Curve
    sharded: bool
    files: dict[str, str]


def gathered(model: nn.Module, *, keep: bool = True, all_of_them: bool = False) -> dict[str, Any]:
    """Return the trained tensors of ``model`` on the CPU, by name.

    Every process must call this function if the model is sharded.

    Args:
        model: Model to read.
        keep: Whether to return the tensors; set it in the process that writes them.
        all_of_them: Whether to return all parameters and not only the trained ones.
    """
    found = {}
    for name, parameter in model.named_parameters():
        if not (parameter.requires_grad or all_of_them):
            continue
        tensor = parameter.detach()
        if isinstance(tensor, DTensor):
            tensor = tensor.full_tensor()
        if keep:
            found[name] = tensor.cpu().contiguous()
    return found


def write_weights(model: nn.Module, folder: Path, *, writes: bool) -> None:
    """Write the trained tensors; every process must call this function."""
    tensors = gathered(model, keep=writes)
    if writes:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / _WEIGHTS)


def read_weights(model: nn.Module, folder: Path) -> None:
    """Load the trained tensors into the model.

    Raises:
        ImaxrayError: If the names of the tensors are not those of the model's trained parameters.
    """
    saved = load_file(folder / _WEIGHTS)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if set(saved) != set(trained):
        raise ImaxrayError(
            f"Expected a checkpoint of {len(trained)} trained tensors in {folder}, but it holds "
            f"{len(saved)} tensors of another model or method; choose another --out."
        )
    with torch.no_grad():
        for name, parameter in trained.items():
            tensor = saved[name].to(parameter.device)
            if isinstance(parameter, DTensor):
                tensor = distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
            parameter.copy_(tensor)


def complete(folder: Path, state: dict[str, Any]) -> None:
    """Mark a checkpoint as complete and remove earlier checkpoints."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
    write_state(folder / COMPLETE, {**state, "files": files})
    for other in _checkpoints(folder.parent):
        if other != folder:
            shutil.rmtree(other)


def complete_checkpoints(folder: Path) -> dict[int, Path]:
    """Map the steps of the complete checkpoints in ``folder`` to their folders, ascending."""
    found = {int(path.name.rpartition("-")[2]): path for path in _checkpoints(folder)}
    return {step: found[step] for step in sorted(found) if (found[step] / COMPLETE).exists()}


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders that the Trainer writes; a copy such as ``checkpoint-4-best`` is a user's.

    Links are left alone, because they lead to folders elsewhere.
    """
    try:
        inside = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []  # a training that starts or ends removed the folder meanwhile
    return [
        path
        for path in inside
        if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]


_NAME: Final = re.compile(r"checkpoint-[0-9]+")


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints in ``folder``, and the folder if nothing else is in it."""
    for path in _checkpoints(folder):
        shutil.rmtree(path)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in ``folder``, or None."""
    whole = complete_checkpoints(folder)
    return whole[max(whole)] if whole else None


def require_unchanged(folder: Path) -> None:
    """Compare the files of a checkpoint with the digests that :func:`complete` recorded.

    Raises:
        ImaxrayError: If a file is missing or was changed.
    """
    files = state_of(folder)["files"]
    changed = [n for n, d in files.items() if not (folder / n).is_file() or sha256(folder / n) != d]
    if changed:
        raise ImaxrayError(
            f"Expected the checkpoint {folder} as its {COMPLETE} describes it, but {changed[0]} is "
            "missing or was changed; remove that checkpoint to train from the start, or choose "
            "another --out."
        )


@contextmanager
def reading_state(folder: Path) -> Iterator[None]:
    """Run a block that loads the state of an optimizer, a schedule or random numbers.

    Raises:
        ImaxrayError: If a file holds anything but tensors and plain values, or is damaged. Torch
            loads such files with ``weights_only``, so nothing in them is run.
    """
    try:
        yield
    except _UNFIT as error:
        raise ImaxrayError(
            f"Expected tensors and plain values in the state of the checkpoint {folder}, but it "
            f"cannot be loaded ({type(error).__name__}); remove that checkpoint to train from the "
            "start, or choose another --out."
        ) from error


def state_of(folder: Path) -> dict[str, Any]:
    """Return the state that was passed to :func:`complete`."""
    state: dict[str, Any] = read_state(
        folder / COMPLETE,
        _State,
        advice="remove that checkpoint to train from the start, or choose another --out",
    )
    return state
