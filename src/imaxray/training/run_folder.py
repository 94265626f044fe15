"""Manages the run folder: the identity of a run, and whether it is started or finished."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import polars as pl
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from imaxray._files import write_json, write_parquet
from imaxray._version import __version__
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.training.config import Layout, TrainingConfig
from imaxray.training.run_manifest import RunIdentity, RunManifest

_NEVER_DECIDE: Final = {"fsdp", "workers", "image_cache_mb", "report_to"}
"""Keys that change how a run is computed and reported, but not its result."""

_PACKAGES: Final = ("torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors")


def open_run(
    out: Path,
    chat: ChatModel,
    table: pl.DataFrame,
    layout: Layout,
    config: TrainingConfig,
    seed: int,
    about: Mapping[str, Any] | None,
    processes: PartialState,
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
        found[0] = _take_up(out, identity)
        if found[0] is None:
            write_parquet(out / "schedule.parquet", table)
    broadcast_object_list(found)
    return cast("RunManifest | None", found[0])


def _take_up(out: Path, identity: RunIdentity) -> RunManifest | None:
    finished, started = out / "run.json", out / "started.json"
    if finished.exists():
        manifest: RunManifest = json.loads(finished.read_text())
        if manifest["identity"] == identity:
            return manifest
    same = started.exists() and json.loads(started.read_text()) == identity
    if out.exists() and not same:
        if any(out.iterdir()) and not (started.exists() or finished.exists()):
            raise ImaxrayError(
                f"Expected an empty folder or an earlier run at {out}, but it holds other files; "
                "choose another --out."
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(started, identity)
    return None


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
