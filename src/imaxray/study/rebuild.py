"""Rebuilds the same dataset from its manifest and another user's own downloads.

Credentialed text must not be shared. A manifest can be shared, because it holds the configuration,
the seed and fingerprints, but no text and no label value.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imaxray._common.files import sha256
from imaxray._common.folders import require_replaceable, scratch_folder
from imaxray._common.state import known_state
from imaxray._version import __version__
from imaxray.curation import Exclusions, open_dataset, read_exclusions
from imaxray.errors import ImaxrayError
from imaxray.progress import track
from imaxray.sources import MAPPING_FILE, OwnData, open_release
from imaxray.study.build import ROLES, DataConfig, build_datasets


@dataclass(frozen=True)
class RebuildReport:
    """Report of a rebuilt dataset.

    Attributes:
        folder: Folder of the rebuilt dataset.
        files: File → SHA-256, which is the same in the manifest and in the rebuilt dataset.
    """

    folder: Path
    files: Mapping[str, str]


def rebuild_dataset(
    manifest: Path,
    releases: Mapping[str, Path],
    out: Path,
    *,
    workers: int = 1,
    exclude: str | Path | None = None,
) -> RebuildReport:
    """Rebuild the dataset that ``manifest`` describes from ``releases``, and check its files.

    All release files are compared first, so that a wrong download is reported before the slow
    build. Then the dataset is built with the same configuration, and all its files are compared.

    Args:
        manifest: File ``manifest.json`` of the dataset to rebuild.
        releases: Source name → folder of the release, for every source in the manifest.
        out: Dataset folder to write.
        workers: Number of processes.
        exclude: The file of marks with which the dataset was built, if there was one. A manifest
            holds its digest only, because marks tell what labels say.

    Raises:
        ImaxrayError: If the file is not a manifest, if a source is missing, if the file of marks is
            missing or another one, if a release file is missing or differs, or if a rebuilt file
            differs, for example because another version of imaxray is installed.
    """
    place = out.resolve()
    require_replaceable(place)  # before anything slow
    described = _read(manifest)
    config = _config(described, manifest)
    excluded = _marks(described, exclude)
    wanted = sorted({file["source"] for file in described["releases"]})
    missing = [name for name in wanted if name not in releases]
    if missing:
        raise ImaxrayError(
            f"Expected a folder for each source of {manifest}, but {', '.join(missing)} has none; "
            f"add --source {missing[0]}=PATH."
        )
    _compare_releases(described["releases"], {n: releases[n] for n in wanted})
    done = _is_rebuilt(place, described)  # by a call that was killed right after its end
    if not done and place.exists() and any(place.iterdir()):
        raise ImaxrayError(
            f"Expected an empty folder, or no folder, at {out}, but it holds files; choose another "
            "folder."
        )
    with scratch_folder(place) as aside:
        if done:
            return RebuildReport(out, dict(described["files"]))
        build_datasets(
            {n: releases[n] for n in wanted}, config, aside, workers=workers, exclude=excluded
        )
        made = aside / described["role"]
        _compare_files(described, open_dataset(made).manifest)
        if place.exists():
            place.rmdir()
        shutil.move(made, place)
    return RebuildReport(out, dict(described["files"]))


def _marks(described: Mapping[str, Any], exclude: str | Path | None) -> Exclusions | None:
    """Return what marks left out of the dataset, from the same file of marks."""
    marks = described.get("decisions", {}).get("marks")
    if marks is None:
        if exclude is not None:
            raise ImaxrayError(
                "Expected --exclude with a dataset that was built with marks, but this one was "
                "not; leave it out."
            )
        return None
    wanted = marks["sha256"]
    if exclude is None:
        raise ImaxrayError(
            f"Expected the file of marks (sha256 {wanted}) with which the dataset was built, but "
            "none is named; add --exclude FILE."
        )
    found = read_exclusions(exclude, marks["verdicts"])
    if found.sha256 != wanted:
        raise ImaxrayError(
            f"Expected a file of marks with sha256 {wanted}, but {exclude} has {found.sha256}; use "
            "the file of then."
        )
    return found


def _is_rebuilt(out: Path, described: Mapping[str, Any]) -> bool:
    """Tell whether the dataset that is described lies at ``out``, unchanged."""
    try:
        made = open_dataset(out)
    except ImaxrayError:
        return False
    return bool(made.manifest["files"] == described["files"]) and not made.verify()


def _read(path: Path) -> dict[str, Any]:
    described = known_state(path)
    keys = {"imaxray", "role", "config", "releases", "files"}
    if not keys <= described.keys() or described["role"] not in ROLES:
        raise ImaxrayError(
            f"Expected the manifest.json of a dataset at {path}, but it is missing, damaged or "
            "another kind of file; name the manifest.json that `imaxray build` wrote."
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
    """Raise an error for the first release file that differs from the one in the manifest."""
    opened = {name: open_release(name, path) for name, path in releases.items()}
    for file in track(files, "Comparing release files"):
        source, root = opened[file["source"]]
        if isinstance(source, OwnData) and file["file"] == MAPPING_FILE:
            if source.mapping.digest != file["sha256"]:
                raise ImaxrayError(
                    f"Expected the source.yaml of {file['source']} that the dataset was built by, "
                    f"but {releases[file['source']]} says something else; use the file of then."
                )
            continue
        path = root / file["file"]
        if path.is_dir():
            continue  # an unpacked archive; its fingerprint is computed when it is read
        if not path.is_file():
            raise ImaxrayError(
                f"Expected {file['file']} in the {file['source']} release at {root}, but it is "
                "missing; download it in the form (zipped or unpacked) that the dataset was built "
                "from."
            )
        found = sha256(path)
        if found != file["sha256"]:
            raise ImaxrayError(
                f"Expected {file['file']} of {file['source']} with sha256 {file['sha256']}, but "
                f"your file has {found}; download it again, in the same version of the release."
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
            f"{other[0] if other else 'their number'} differs; download the release again, in the "
            "same form (zipped or unpacked)."
        )
    differ = [name for name, digest in described["files"].items() if made["files"][name] != digest]
    if differ:
        raise ImaxrayError(
            f"Expected {differ[0]} with sha256 {described['files'][differ[0]]}, but the rebuilt "
            f"file has {made['files'][differ[0]]} although all release files are the same; the "
            f"dataset was built by imaxray {described['imaxray']} and this is {__version__}, so "
            "install that version."
        )
