"""Runs a whole study, or one unit of it: builds data, trains arms, evaluates and compares them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from imaxray._common.files import write_text
from imaxray._common.folders import growing_folder, record_claimed
from imaxray.errors import ImaxrayError
from imaxray.study.config import StudyConfig
from imaxray.study.execute import execute, launched, require_all
from imaxray.study.places import CONFIG, claim_study, result_files
from imaxray.study.results.dynamics import study_dynamics
from imaxray.study.results.outcome import ModelOutcome, StudyOutcome, compare_study
from imaxray.study.units import find_unit, is_done, needs, require_result, study_units
from imaxray.study.work import do_unit, make_data, require_data, require_models

__all__ = ["ModelOutcome", "StudyOutcome", "run_study", "run_unit"]


def run_study(
    config: StudyConfig, out: Path, *, root: Path | None = None, launch: str | None = None
) -> StudyOutcome:
    """Run or resume a study in the folder ``out``; finished units are kept.

    Args:
        config: Configuration of the study.
        out: Study folder; it gets ``releases/`` (phantom), ``catalog/``, ``imax/``, ``dmax/``,
            ``init/``, ``runs/``, and ``units/`` with one record per finished unit.
        root: Folder that holds the releases; overrides the one of the configuration.
        launch: Command that each training is started with, e.g. ``torchrun --nproc-per-node 4``.

    Raises:
        ImaxrayError: If building the data or comparing raises, or if a unit fails; the message
            names the units that failed, and all others are done.
    """
    with growing_folder(out):
        return _run(config, out, root, launch)


def run_unit(
    config: StudyConfig,
    out: Path,
    name: str,
    *,
    root: Path | None = None,
    launch: str | None = None,
) -> StudyOutcome | None:
    """Do one unit of a study, as a job of a cluster does; other units may run beside it.

    Args:
        config: Configuration of the study.
        out: Study folder.
        name: Name of the unit, as ``--list`` shows it.
        root: Folder that holds the releases; overrides the one of the configuration.
        launch: Command that a training is started with, e.g. ``torchrun --nproc-per-node 4``; it
            changes nothing of other units.

    Returns:
        The outcome of the study if the unit is ``compare``.

    Raises:
        ImaxrayError: If there is no such unit, if a unit that it needs is not done, if another
            process is doing it, or if it fails.
    """
    unit = find_unit(config, name)
    claim_study(out, measures=config.dynamics is not None)
    if unit.kind == "data":
        with growing_folder(out):
            do_unit(config, out, unit, root=root)
        return None
    require_data(config, out)
    missing = [other.name for other in needs(config, unit) if not is_done(config, out, other)]
    if missing:
        raise ImaxrayError(
            f"Expected what {name} needs to be done, but {len(missing)} units are not (first: "
            f"{missing[0]}); run them first, see --list."
        )
    if unit.kind == "compare":
        for other in study_units(config):
            require_result(out, other)
        _write_config(config, out, root)  # the report reads it
        return _outcome(config, out, make_data(config, out, root=root), {})
    if launch and unit.kind == "train":
        _write_config(config, out, root)
        launched(launch, out, unit.name)
        return None
    do_unit(config, out, unit, progress=True)
    return None


def _write_config(config: StudyConfig, out: Path, root: Path | None) -> None:
    """Write the configuration that launched processes read."""
    content = config.model_dump(mode="json")
    if root is not None:
        content["root"] = str(root.resolve())
    write_text(out / CONFIG, yaml.safe_dump(content, sort_keys=False))


def _run(config: StudyConfig, out: Path, root: Path | None, launch: str | None) -> StudyOutcome:
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage] = now - clock
        clock = now

    claim_study(out, measures=config.dynamics is not None)
    require_models(config)
    match = make_data(config, out, root=root)
    lap("write releases, build and match")
    _write_config(config, out, root)
    units = study_units(config)
    for unit in units:
        if unit.kind == "base":
            do_unit(config, out, unit)
    work = [unit for unit in units if unit.kind in ("train", "answer")]
    require_all(execute(config, out, work, launch=launch), len(units))
    lap("train and answer")
    return _outcome(config, out, match, seconds)


def _outcome(
    config: StudyConfig, out: Path, match: dict[str, Any], seconds: dict[str, float]
) -> StudyOutcome:
    clock = time.perf_counter()
    models, table = compare_study(config, out)
    dynamics = None if config.dynamics is None else study_dynamics(config, out)
    record_claimed(out, result_files(config, out))
    seconds["compare"] = time.perf_counter() - clock
    return StudyOutcome(config, out, models, table, match, dynamics, seconds)
