"""Prepares the data that a study trains on; this needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imaxray._common.folders import (
    claim_files,
    growing_folder,
    record_claimed,
    require_claimable,
)
from imaxray._common.state import known_state, write_state
from imaxray.curation.dataset import content_digest, read_manifest
from imaxray.phantom import write_phantom
from imaxray.study.build import ROLES, build_datasets, built
from imaxray.study.config import StudyConfig
from imaxray.study.places import MATCH
from imaxray.study.release_state import release_states


def build_study_data(config: StudyConfig, out: Path, *, root: Path | None = None) -> dict[str, Any]:
    """Write the data of a study: ``releases/`` (phantom), ``catalog/``, ``imax/`` and ``dmax/``.

    Datasets of the same configuration are kept if they are whole and neither a file of a release
    nor the file of marks (``exclude``) has changed since.

    Args:
        config: Configuration of the study.
        out: Study folder.
        root: Folder that holds the releases; overrides the one of the configuration.

    Returns:
        The report of :func:`imaxray.study.build.build_datasets` as a dictionary.

    Raises:
        ImaxrayError: If the releases or the file of marks are not found, or if building a dataset
            raises.
    """
    with growing_folder(out):
        return _prepared(config, out, root)


def _prepared(config: StudyConfig, out: Path, root: Path | None) -> dict[str, Any]:
    known_by = {MATCH: ('"tasks_per_image"', '"pool_images"')}
    require_claimable(out, [MATCH], "a build", known_by=known_by)
    excluded = None if config.exclude is None else config.exclude.read()  # before anything slow
    claim_files(out, [MATCH], "a build", known_by=known_by)
    if config.phantom is not None:
        write_phantom(
            out / "releases",
            images=config.phantom.images,
            seed=config.phantom.seed,
            workers=config.workers,
        )
    path = out / MATCH
    releases = config.release_paths(out, root)
    # What decides the bytes and what no manifest names: the phantom, the list of releases, and the
    # files that lie in them now.
    of = {
        "phantom": config.content()["phantom"],
        "releases": config.content()["releases"],
        "states": release_states(releases),
        **({} if excluded is None else {"marks": excluded.state}),
    }
    kept = known_state(path)
    # The report of a build that was killed later belongs to other datasets.
    if kept.get("of") == of and kept.get("datasets") == built(config.data(), out):
        record_claimed(out, [MATCH])
        return kept
    report = build_datasets(releases, config.data(), out, workers=config.workers, exclude=excluded)
    datasets = {role: content_digest(read_manifest(out / role)[0]) for role in ROLES}
    write_state(path, {**report.as_dict(), "of": of, "datasets": datasets})
    record_claimed(out, [MATCH])
    return known_state(path)
