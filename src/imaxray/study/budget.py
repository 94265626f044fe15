"""Decides for how many steps an arm trains that has as much compute as the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from imaxray._common.state import known_state, read_state, write_state
from imaxray.study.arms import folder_name, pilot
from imaxray.study.places import BUDGETS, run_folders
from imaxray.study.units import Unit, record_of
from imaxray.training import RunManifest

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig

Clock = Literal["cpu", "wall"]
Compute = Literal["operations", "seconds"]

_PROCESSORS: Final = frozenset({"x86_64", "amd64", "aarch64", "arm64", "i686"})


def training_seconds(run: RunManifest) -> tuple[float, Clock]:
    """Return the computing time of a run, and the clock that measured it.

    Without a GPU it is the time of the process on the processor, because runs beside each other
    slow each other down; with one it is the time that passed.

    Example:
        >>> training_seconds({"device": "x86_64", "seconds": 9.0, "cpu_seconds": 5.0})
        (5.0, 'cpu')
    """
    if run["device"].lower() in _PROCESSORS and run.get("processes", 1) == 1:
        return run["cpu_seconds"], "cpu"
    return run["seconds"], "wall"


def compute_of(runs: Mapping[str, Sequence[RunManifest]]) -> tuple[dict[str, float], Compute]:
    """Return the mean compute of each arm's runs, and what it is counted in.

    These are the floating-point operations of training if all runs counted them, because these
    depend on no clock, and else the computing time in seconds.

    Example:
        >>> compute_of({"a": [{"operations": 4}, {"operations": 6}], "b": [{"operations": 7}]})
        ({'a': 5.0, 'b': 7.0}, 'operations')
    """
    counted = all("operations" in run for of_arm in runs.values() for run in of_arm)
    mean = {
        arm: sum(r["operations"] if counted else training_seconds(r)[0] for r in found) / len(found)
        for arm, found in runs.items()
    }
    return mean, "operations" if counted else "seconds"


def read_run(folder: Path) -> RunManifest:
    """Return the manifest of a finished run.

    Raises:
        ImaxrayError: If it is missing or damaged.
    """
    manifest: RunManifest = read_state(
        folder / "run.json", RunManifest, advice="run its unit train first, or again"
    )
    return manifest


def budget_steps(
    config: StudyConfig, out: Path, model: str, arm: str, steps: int, *, keep: bool = True
) -> int:
    """Return the number of steps in which an arm needs as much compute as the reference needed.

    It follows from the compute (:func:`compute_of`) of the reference and of the arm that has the
    same data and layout but the entries of the reference, as means over the seeds. It is kept in
    ``budgets/``; where clocks decide it, a study that is continued does not change it.

    Args:
        config: Configuration of the study.
        out: Study folder.
        model: Name of the model.
        arm: Name of the arm with ``budget: compute``.
        steps: Number of steps of the reference.
        keep: Whether the decision is kept; an estimate decides nothing.

    Raises:
        ImaxrayError: If a run that was measured is missing.
    """
    path = out / BUDGETS / f"{folder_name(model)}--{folder_name(arm)}.json"
    own = pilot(config.arms, arm)
    runs = {
        name: [read_run(folder) for folder in run_folders(config, out, model, name)]
        for name in (config.reference, own)
    }
    of: dict[str, Any] = {
        name: [
            known_state(record_of(out, Unit("train", model, name, seed))).get("key")
            for seed in config.training_seeds
        ]
        for name in runs
    }
    known = known_state(path)
    compute, by = compute_of(runs)
    # a run that is trained again takes other seconds, but as many operations
    if by == "seconds" and known.get("of") == of and isinstance(known.get("steps"), int):
        return int(known["steps"])
    found = max(1, round(steps * compute[config.reference] / compute[own]))
    decided = {"of": of, "by": by, "compute": compute, "steps": found}
    if keep and known != decided:
        path.parent.mkdir(exist_ok=True)
        write_state(path, decided)
    return found
