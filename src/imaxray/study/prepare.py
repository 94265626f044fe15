"""Prepares the data that a study trains on; this needs no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imaxray._files import write_json
from imaxray.phantom import write_phantom
from imaxray.study.build import build_datasets, is_built
from imaxray.study.config import StudyConfig


def build_study_data(config: StudyConfig, out: Path, *, root: Path | None = None) -> dict[str, Any]:
    """Write the data of a study: ``releases/`` (phantom), ``catalog/``, ``imax/`` and ``dmax/``.

    Datasets of the same configuration are kept.

    Args:
        config: Configuration of the study.
        out: Study folder.
        root: Folder that holds the releases; overrides the one of the configuration.

    Returns:
        The report of :func:`imaxray.study.build.build_datasets` as a dictionary.

    Raises:
        ImaxrayError: If the releases are not found, or if building a dataset raises.
    """
    out.mkdir(parents=True, exist_ok=True)
    if config.phantom is not None:
        write_phantom(
            out / "releases",
            images=config.phantom.images,
            seed=config.phantom.seed,
            workers=config.workers,
        )
    path = out / "match.json"
    # the datasets also depend on the phantom and the list of releases, which no manifest holds
    whole = {"phantom": config.content()["phantom"], "releases": dict(config.releases)}
    if path.exists() and is_built(config.data(), out):
        kept: dict[str, Any] = json.loads(path.read_text())
        if kept.get("of") == whole:
            return kept
    releases = config.release_paths(out, root)
    report = build_datasets(releases, config.data(), out, workers=config.workers)
    write_json(path, {**report.as_dict(), "of": whole})
    written: dict[str, Any] = json.loads(path.read_text())
    return written
