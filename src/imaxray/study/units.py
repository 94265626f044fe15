"""Divides a study into units of work, says what each of them needs, and whether it is done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imaxray._common.files import sha256
from imaxray._common.folders import require_as_recorded
from imaxray._common.lock import is_locked
from imaxray._common.names import near
from imaxray._common.state import known_state, write_state
from imaxray.errors import ImaxrayError
from imaxray.study.arms import folder_name, pilot
from imaxray.study.places import PUT_BACK, RECORDS, answer_folder, base_folder, run_folder

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig

Kind = Literal["data", "base", "train", "answer", "compare"]
State = Literal["done", "running", "ready", "waiting"]


@dataclass(frozen=True)
class Unit:
    """One piece of work of a study.

    ``data`` builds the datasets, ``base`` builds an untrained model, ``train`` trains one model on
    one arm with one seed, ``answer`` lets it answer the test split, and ``compare`` scores and
    compares all answers.

    Example:
        >>> Unit("train", "lingshu-7b", "imax", 0).name
        'train/lingshu-7b/imax/seed-0'
    """

    kind: Kind
    model: str | None = None
    arm: str | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        """Name on the command line."""
        parts = [folder_name(part) for part in (self.model, self.arm) if part is not None]
        seed = [] if self.seed is None else [f"seed-{self.seed}"]
        return "/".join([self.kind, *parts, *seed])


def study_units(config: StudyConfig) -> list[Unit]:
    """Return all units of a study in an order in which each follows those that it needs.

    Example:
        >>> from imaxray.study.config import StudyConfig
        >>> [unit.name for unit in study_units(StudyConfig(title="t"))][:3]
        ['data', 'base/phantom/seed-0', 'train/phantom/dmax/seed-0']
    """
    units = [Unit("data")]
    for name, model in config.all_models.items():
        if model.is_built:
            units += [Unit("base", name, None, seed) for seed in config.training_seeds]
    for budget in ("none", "entries", "compute"):
        for name in config.all_models:
            for label, arm in config.arms.items():
                if arm.budget == budget:
                    for seed in config.training_seeds:
                        if arm.is_trained:
                            units.append(Unit("train", name, label, seed))
                        units.append(Unit("answer", name, label, seed))
    return [*units, Unit("compare")]


def needs(config: StudyConfig, unit: Unit) -> list[Unit]:
    """Return the units that must be done before a unit."""
    if unit.kind == "data":
        return []
    if unit.kind == "base":
        return [Unit("data")]
    if unit.kind == "compare":
        return [other for other in study_units(config) if other.kind == "answer"]
    assert unit.model is not None and unit.arm is not None
    arm = config.arms[unit.arm]
    built = config.all_models[unit.model].is_built
    start = Unit("base", unit.model, None, unit.seed) if built else Unit("data")
    if unit.kind == "answer" and arm.is_trained:
        return [Unit("train", unit.model, unit.arm, unit.seed)]
    found = [start]
    if arm.budget == "compute":
        found += [
            Unit("train", unit.model, label, seed)
            for label in sorted({config.reference, pilot(config.arms, unit.arm)})
            for seed in config.training_seeds
        ]
    return found


def find_unit(config: StudyConfig, name: str) -> Unit:
    """Return the unit of a name.

    Raises:
        ImaxrayError: If the study has no unit of this name.
    """
    units = {unit.name: unit for unit in study_units(config)}
    if name in units:
        return units[name]
    best = near(name, units)
    ends = f"did you mean {' or '.join(best)}?" if best else "--list shows the units."
    raise ImaxrayError(f"Expected a unit of this study, but it has no {name}; {ends}")


def record_of(out: Path, unit: Unit) -> Path:
    """Return the file that says that a unit is done, and of which inputs."""
    return out / RECORDS / f"{unit.name}.json"


def write_record(config: StudyConfig, out: Path, unit: Unit, content: dict[str, Any]) -> None:
    """Record that a unit is done, of which inputs, and the digest of the manifest of its result."""
    path = record_of(out, unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _manifest_of(config, out, unit)
    digests = {} if made is None else {made.relative_to(out).as_posix(): sha256(made)}
    more = {"file_sha256": digests} if digests else {}
    write_state(path, {"asked": _asked(config, unit), **content, **more})


def require_result(out: Path, unit: Unit) -> None:
    """Compare the manifest of a unit's result with the digest in its record, if it has one.

    Raises:
        ImaxrayError: If the manifest is whole, but another one than when the unit was done.
    """
    digests = known_state(record_of(out, unit)).get("file_sha256")
    if isinstance(digests, dict):
        when = f"the unit {unit.name} was done"
        require_as_recorded(out, digests, when, advice=PUT_BACK)


def _manifest_of(config: StudyConfig, out: Path, unit: Unit) -> Path | None:
    """Return the manifest of what a training or its answers left, if it is there."""
    if unit.model is None or unit.arm is None or unit.seed is None:
        return None
    run = run_folder(config, out, unit.model, unit.arm, unit.seed)
    path = run / "run.json" if unit.kind == "train" else answer_folder(run) / "predictions.json"
    return path if path.is_file() else None


def _asked(config: StudyConfig, unit: Unit) -> str:
    """Return a digest of the part of the configuration that decides a unit."""
    content: dict[str, Any] = {
        "data": config.data().model_dump(mode="json"),
        "phantom": config.content()["phantom"],
        "releases": config.content()["releases"],
        "doses": sorted(a.tasks_per_image or 0 for a in config.arms.values()),
    }
    if config.exclude is not None:
        content["exclude"] = config.content()["exclude"]
    if unit.model is not None:
        content["model"] = config.all_models[unit.model].model_dump(mode="json")
    if unit.arm is not None:
        content["arm"] = config.arms[unit.arm].model_dump(mode="json")
        content["training"] = config.training.model_dump(mode="json")
    if unit.kind == "answer":
        content["evaluation"] = config.evaluation.model_dump(mode="json")
    if unit.kind == "compare":
        content["all"] = config.content()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_done(config: StudyConfig, out: Path, unit: Unit) -> bool:
    """Tell whether a unit has a record and its result is there.

    Whether the record is also of the present data and weights is known when the unit is run again.
    """
    if known_state(record_of(out, unit)).get("asked") != _asked(config, unit):
        return False
    if unit.kind == "data":
        return (out / "match.json").is_file()
    if unit.kind == "compare":
        return (out / "comparison.json").is_file()
    assert unit.model is not None and unit.seed is not None
    if unit.kind == "base":
        return base_folder(config, out, unit.model, unit.seed).is_dir()
    assert unit.arm is not None
    run = run_folder(config, out, unit.model, unit.arm, unit.seed)
    if unit.kind == "train":
        return (run / "run.json").is_file()
    return (answer_folder(run) / "predictions.parquet").is_file()


def unit_states(config: StudyConfig, out: Path) -> dict[str, State]:
    """Return the state of each unit: done, running, ready (all it needs is done) or waiting."""
    done = {unit for unit in study_units(config) if is_done(config, out, unit)}
    found: dict[str, State] = {}
    for unit in study_units(config):
        if unit in done:
            found[unit.name] = "done"
        elif _is_running(config, out, unit):
            found[unit.name] = "running"
        else:
            ready = all(other in done for other in needs(config, unit))
            found[unit.name] = "ready" if ready else "waiting"
    return found


def _is_running(config: StudyConfig, out: Path, unit: Unit) -> bool:
    if unit.kind not in ("train", "answer"):
        return False
    assert unit.model is not None and unit.arm is not None and unit.seed is not None
    run = run_folder(config, out, unit.model, unit.arm, unit.seed)
    return is_locked(run if unit.kind == "train" else answer_folder(run))
