"""The very same dataset again, from another user's own downloads and a manifest.

Credentialed text cannot be shared. A manifest can: it holds the configuration, the seed and
fingerprints, no text and no label value.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imaxray._files import sha256
from imaxray._folders import scratch_folder
from imaxray._version import __version__
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.progress import track
from imaxray.study.build import ROLES, DataConfig, build_datasets


@dataclass(frozen=True)
class RebuildReport:
    """What was rebuilt.

    Attributes:
        folder: the dataset.
        files: per file, the sha256 that the manifest and the rebuilt dataset agree on.
    """

    folder: Path
    files: Mapping[str, str]


def rebuild_dataset(
    manifest: Path, releases: Mapping[str, Path], out: Path, *, workers: int = 1
) -> RebuildReport:
    """Make the dataset that ``manifest`` describes from ``releases``, and prove it.

    Every release file is compared first, so a wrong download is named before anything slow; then
    the dataset is built as it was, and every file of it compared.

    Args:
        manifest: ``manifest.json`` of the dataset to make again.
        releases: source name → folder, of every source that the manifest names.
        out: folder to write.
        workers: processes.

    Raises:
        ImaxrayError: the manifest is none; a source is missing; a release file is missing or
            another; or the rebuilt files differ, for instance in another version of imaxray.
    """
    described = _read(manifest)
    config = _config(described, manifest)
    wanted = sorted({file["source"] for file in described["releases"]})
    missing = [name for name in wanted if name not in releases]
    if missing:
        raise ImaxrayError(
            f"Expected a folder for each source of {manifest}, but {', '.join(missing)} has none; "
            f"add --source {missing[0]}=PATH."
        )
    _compare_releases(described["releases"], releases)
    if out.exists() and any(out.iterdir()):
        raise ImaxrayError(
            f"Expected an empty or no folder at {out}, but it holds files; choose another."
        )
    with scratch_folder(out) as aside:
        build_datasets({n: releases[n] for n in wanted}, config, aside, workers=workers)
        made = aside / described["role"]
        _compare_files(described, open_dataset(made).manifest)
        if out.exists():
            out.rmdir()
        shutil.move(made, out)
    return RebuildReport(out, dict(described["files"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        keys = {"imaxray", "role", "config", "releases", "files"}
        good = isinstance(described, dict) and keys <= described.keys()
    except (OSError, ValueError):
        good = False
    if not good or described["role"] not in ROLES:
        raise ImaxrayError(
            f"Expected the manifest.json of a dataset at {path}, but it is missing, damaged or "
            "another file; ask for the file that `imaxray build` wrote."
        )
    result: dict[str, Any] = described
    return result


def _config(described: Mapping[str, Any], path: Path) -> DataConfig:
    try:
        return DataConfig.model_validate(described["config"])
    except ValidationError as error:
        first = error.errors()[0]
        raise ImaxrayError(
            f"Expected a configuration of imaxray {__version__} in {path}, but "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}; the dataset was built by "
            f"imaxray {described['imaxray']}, install that version."
        ) from error


def _compare_releases(files: list[dict[str, Any]], releases: Mapping[str, Path]) -> None:
    """Name the first release file that is not the one the manifest was made from."""
    for file in track(files, "Comparing release files"):
        path = releases[file["source"]] / file["file"]
        if path.is_dir():
            continue  # an unpacked archive: its fingerprint comes with reading
        if not path.is_file():
            raise ImaxrayError(
                f"Expected {file['file']} in the {file['source']} release at "
                f"{releases[file['source']]}, but it is not there; download it, in the same form "
                "(zipped or unpacked) as the dataset was built from."
            )
        found = sha256(path)
        if found != file["sha256"]:
            raise ImaxrayError(
                f"Expected {file['file']} of {file['source']} with sha256 {file['sha256']}, but "
                f"yours has {found}; download it again, or get the release's same version."
            )


def _compare_files(described: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    other = [
        f"{theirs['source']} {theirs['file']}"
        for theirs, ours in zip(described["releases"], made["releases"], strict=False)
        if theirs != ours
    ]
    if other or len(described["releases"]) != len(made["releases"]):
        raise ImaxrayError(
            "Expected the same release files as in the manifest, but "
            f"{other[0] if other else 'their number'} differs; download it again, in the same form."
        )
    differ = [name for name, digest in described["files"].items() if made["files"][name] != digest]
    if differ:
        raise ImaxrayError(
            f"Expected {differ[0]} with sha256 {described['files'][differ[0]]}, but the rebuilt "
            f"one has {made['files'][differ[0]]} though every release file is the same; the data "
            f"set was built by imaxray {described['imaxray']}, this is {__version__}."
        )
