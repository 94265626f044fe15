"""Reads and writes what a saved model says about itself: its sidecar, and an adapter's base.

An adapter names its base model twice if that is a folder: by its whole path, which other tools
read, and relative to the adapter, so that a folder that holds both can be moved.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

from imaxray._common.state import read_state, write_state
from imaxray.errors import ImaxrayError

SIDECAR: Final = "imaxray.json"
"""File beside saved weights with the model's name, family, commit, box convention and base."""

ADAPTER: Final = "adapter_config.json"
_BASE: Final = "base_model_name_or_path"


class Sidecar(TypedDict):
    """What :func:`write_sidecar` writes beside the weights."""

    name: NotRequired[str]
    family: NotRequired[str]
    commit: NotRequired[str | None]
    convention: NotRequired[dict[str, Any]]
    base: NotRequired[str]


def write_sidecar(folder: Path, about: dict[str, Any]) -> None:
    """Write the sidecar of a model, and name the base folder of an adapter by its whole path.

    Args:
        folder: Folder that the weights were saved to.
        about: Name, family, commit and box convention of the model.
    """
    base = _base_folder(folder)
    if base is not None:
        about = {**about, "base": Path(os.path.relpath(base, folder.resolve())).as_posix()}
    write_state(folder / SIDECAR, about)


def _base_folder(folder: Path) -> Path | None:
    """Return the base of the adapter in ``folder`` and write its whole path into the adapter.

    None if this is no adapter, or if its base is no folder but a repository.
    """
    path = folder / ADAPTER
    if not path.is_file():
        return None
    config = json.loads(path.read_bytes())
    name = config.get(_BASE)
    if not name or not Path(name).is_dir():
        return None
    base = Path(name).resolve()
    config[_BASE] = str(base)
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    return base


def read_sidecar(folder: Path) -> dict[str, Any]:
    """Return the sidecar of a model; it is empty if the model is not of imaxray."""
    path = folder / SIDECAR
    if not path.is_file():
        return {}
    about: dict[str, Any] = read_state(path, Sidecar, advice="save or train the model again")
    return about


def adapter_base(folder: Path) -> str:
    """Return the base model of a PEFT adapter: a folder, a registry name or a repository id.

    A folder is looked for by the path that the adapter names, from the current folder and from that
    of the adapter, and where it lay beside the adapter. An adapter that imaxray trained on a folder
    never names a repository, even if the folder is gone: anybody could own a repository of that
    name.

    Args:
        folder: Folder with ``adapter_config.json``.

    Raises:
        ImaxrayError: The file is damaged, or the base model was a folder that is not found.
    """
    path = folder / ADAPTER
    try:
        base = json.loads(path.read_bytes())[_BASE]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImaxrayError(
            f"Expected the name of a base model in {path}, but it is damaged; train or download "
            "the adapter again."
        ) from error
    name = str(base)
    about = read_sidecar(folder)
    places = [Path(name), folder / name]
    if "base" in about:
        places.append(folder / about["base"])
    for place in places:
        if place.is_dir():
            return str(place)
    if about.get("commit") or not about:
        return name
    beside = f" or {Path(os.path.normpath(places[-1].absolute()))}" if "base" in about else ""
    raise ImaxrayError(
        f"Expected the base model of the adapter {folder} in the folder {name}{beside}, but there "
        f"is no such folder; move the base model there, or write its path into {path} as {_BASE}."
    )
