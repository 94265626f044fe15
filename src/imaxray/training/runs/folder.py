"""Manages the run folder: the identity of a run, and whether it is started or finished."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, cast

import polars as pl
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from imaxray._common.digests import changed_files
from imaxray._common.files import is_unfinished, sha256, write_parquet
from imaxray._common.folders import (
    Marker,
    growing_folder,
    is_free,
    move_aside,
    next_aside,
    read_marker,
    remove_listed,
    write_marker,
)
from imaxray._common.state import known_state, write_state
from imaxray._version import __version__
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.training.config import Layout, TrainingConfig
from imaxray.training.runs.checkpoint import last_checkpoint
from imaxray.training.runs.curves import CURVE, EVALUATIONS
from imaxray.training.runs.manifest import RunIdentity, RunManifest

_NEVER_DECIDE: Final = {"fsdp", "workers", "image_cache_mb", "report_to"}
"""Keys that change how a run is computed and reported, but not its result."""

STARTED: Final = "started.json"
"""Name of the file with the identity of a run."""

DROPS_FILE: Final = "drops.parquet"
"""Name of the table of the entries that a run leaves out."""

FILES: Final = (
    STARTED, "schedule.parquet", CURVE, EVALUATIONS, DROPS_FILE,
    "checkpoints/", "tensorboard/", "dynamics/", "adapter/", "model/", "run.json",
)  # fmt: skip
"""Files and folders that a training writes into its run folder."""

_WEIGHTS: Final = re.compile(
    r"[^/]*\.(json|safetensors|jinja|model)|merges\.txt|vocab\.txt|README\.md|\.[^/]*"
)
_INSIDE: Final = {
    "checkpoints": re.compile(r"checkpoint-[0-9]+/.*"),
    "tensorboard": re.compile(r"(.*/)?events\.out\.[^/]*"),
    "dynamics": re.compile(r"((gram|crossed)/)?[^/]*\.(parquet|json)"),
    "adapter": _WEIGHTS,
    "model": _WEIGHTS,
}
"""Names of what a training writes into the folders of FILES; others are files of the user."""

_KIND: Final = "run"

_PACKAGES: Final = ("torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors")


DYNAMICS: Final = "dynamics"
"""Folder of what a probe recorded, in a run folder."""


def only_writer(out: Path) -> AbstractContextManager[None]:
    """Hold the lock of a run folder in the process that writes it.

    Raises:
        ImaxrayError: If another process trains in the folder.
    """
    if int(os.environ.get("RANK", "0")) > 0:  # set by torchrun and accelerate
        return nullcontext()
    return growing_folder(out, ("checkpoints", "dynamics", "dynamics/gram"))


def open_run(
    out: Path,
    chat: ChatModel,
    table: pl.DataFrame,
    layout: Layout,
    config: TrainingConfig,
    seed: int,
    about: Mapping[str, Any] | None,
    processes: PartialState,
    *,
    overwrite: bool = False,
) -> RunManifest | None:
    """Create the run folder or continue it; return the manifest if the run is already finished.

    Raises:
        ImaxrayError: If the folder holds files that are not of a run.
    """
    found: list[Any] = [None]
    if processes.is_main_process:
        identity: RunIdentity = {
            "imaxray": __version__,
            "model": chat.name,
            "layout": layout,
            "seed": seed,
            "config": config.model_dump(mode="json", exclude=_NEVER_DECIDE),
            "weights": _fingerprint(chat.model),
            "schedule": hashlib.sha256(
                "\n".join(f"{s} {r} {e}" for s, r, e in table.iter_rows()).encode()
            ).hexdigest(),
            "dataset": (about or {}).get("dataset"),
            "image_cache": (about or {}).get("image_cache"),
        }
        found[0] = _take_up(out, identity, overwrite)
        if found[0] is None:
            write_parquet(out / "schedule.parquet", table)
    broadcast_object_list(found)
    return cast("RunManifest | None", found[0])


def _take_up(out: Path, identity: RunIdentity, overwrite: bool) -> RunManifest | None:
    """Return the manifest of a finished run, or make the folder ready to start or to continue.

    Raises:
        ImaxrayError: If the folder holds other files, or another run that may not be replaced.
    """
    manifest = known_state(out / "run.json")
    if _is_identity(manifest.get("identity")):
        if manifest["identity"] != identity:
            _make_room(
                out, f"a finished run {_difference(manifest['identity'], identity)}", overwrite
            )
        elif changed := _changed(out, manifest):
            what = f"a finished run whose {changed} is missing or was changed"
            _make_room(out, what, overwrite)
        else:
            return cast("RunManifest", manifest)
    begun = known_state(out / STARTED)
    if begun != identity:
        if last_checkpoint(out / "checkpoints") is not None and _is_identity(begun):
            _make_room(out, f"an unfinished run {_difference(begun, identity)}", overwrite)
        elif not is_free(out):
            _remove_unfinished(out)
        out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    write_marker(out, Marker(_KIND, digest, FILES))  # first: what follows is known to be ours
    write_state(out / STARTED, identity)
    return None


def _changed(out: Path, manifest: Mapping[str, Any]) -> str | None:
    """Return the name of a file of a finished run that is missing or was changed."""
    weights = weights_folder(manifest["identity"]["config"]["method"])
    if not (out / weights).is_dir():
        return weights
    return next(iter(changed_files(out, files_of_training(manifest))), None)


def files_of_training(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of what a model is loaded from; whoever reads dynamics compares theirs."""
    files: Mapping[str, str] = manifest.get("files", {})
    return {name: digest for name, digest in files.items() if not name.startswith(f"{DYNAMICS}/")}


def set_aside(out: Path) -> None:
    """Make room for another run: rename a folder with trained weights, else remove the run's files.

    Raises:
        ImaxrayError: If the folder does not belong to a run.
    """
    if (out / "run.json").exists() or last_checkpoint(out / "checkpoints") is not None:
        _make_room(out, "an earlier run", overwrite=True)
    else:
        _remove_unfinished(out)


def _make_room(out: Path, what: str, overwrite: bool) -> None:
    if not overwrite:
        raise ImaxrayError(
            f"Expected an empty folder or the same run at {out}, but it holds {what}; choose "
            f"another --out, or add --overwrite, which renames that folder to "
            f"{next_aside(out).name}."
        )
    warnings.warn(f"The earlier run of {out} is now in {move_aside(out)}.", stacklevel=2)


def _remove_unfinished(out: Path) -> None:
    """Remove the files of a run that was begun, and nothing else.

    Raises:
        ImaxrayError: If the folder does not belong to a run.
    """
    marker = read_marker(out)
    if marker is None or marker.kind != _KIND:
        raise ImaxrayError(
            f"Expected an empty folder or an earlier run at {out}, but it holds other files; "
            "choose another --out."
        )
    if (foreign := next(_foreign(out), None)) is not None:
        what = f"The run of {out} that was begun, with your file {foreign.relative_to(out)},"
        warnings.warn(f"{what} is now in {move_aside(out)}.", stacklevel=2)
        return
    remove_listed(out, marker.files)


def _foreign(out: Path) -> Iterator[Path]:
    """Yield the files in the folders of an unfinished run whose names no training writes."""
    for folder, ours in _INSIDE.items():
        for path in sorted((out / folder).rglob("*")):
            name = path.relative_to(out / folder).as_posix()
            if not path.is_dir() and not ours.fullmatch(name) and not is_unfinished(path.name):
                yield path


def _is_identity(content: Any) -> bool:
    return isinstance(content, dict) and RunIdentity.__required_keys__ <= content.keys()


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return the first thing in which two runs differ, e.g. ``with learning_rate 0.1, not 0.2``."""
    for old, new in ((found["config"], wanted["config"]), (found, wanted)):
        follow = ("schedule", "weights", "config")  # from what was asked for
        for key in sorted({*old, *new}, key=lambda key: (key in follow, key)):
            if old.get(key) != new.get(key):
                if isinstance(new.get(key), int | float | str) and len(str(new[key])) < 40:
                    return f"with {key} {old.get(key)}, not {new[key]}"
                return f"with another {key}"
    return "with another configuration"


def written_files(out: Path) -> dict[str, str]:
    """Return the sha256 of a run's files, by their paths in the run folder.

    They are the weights, the schedule and the recorded dynamics. Curves are not among them, since
    they hold clocks, and two equal runs have equal manifests but for theirs;
    :func:`record_digests` has the others.
    """
    weights = (path for name in ("adapter", "model") for path in sorted((out / name).rglob("*")))
    shown = [path for path in weights if path.is_file() and not path.name.startswith(".")]
    recorded = [
        out / DYNAMICS / name for name in ("probe.json", "spectra.parquet", "tasks.parquet")
    ]
    grams = sorted((out / DYNAMICS / "gram").glob("*.parquet"))
    paths = [*shown, out / "schedule.parquet", *recorded, *grams]
    return {path.relative_to(out).as_posix(): sha256(path) for path in paths if path.is_file()}


def record_digests(out: Path) -> dict[str, str]:
    """Return the sha256 of what a run records beside its weights, by the names of the files."""
    paths = [out / name for name in (CURVE, EVALUATIONS, DROPS_FILE, STARTED)]
    return {path.name: sha256(path) for path in paths if path.is_file()}


def weights_folder(method: str) -> str:
    """Return the name of the weights folder in the run folder of a method."""
    return "adapter" if method == "lora" else "model"


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or the processor architecture for other devices."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect training."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def _fingerprint(model: Any) -> str:
    """Return the SHA-256 of all weights, because runs with different initial weights differ."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
