"""Does the units of a study in several processes; a failed one does not stop the others."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imaxray._common.state import read_state_lines
from imaxray._common.workers import worker_pool
from imaxray.errors import ImaxrayError
from imaxray.progress import multi_bar
from imaxray.study.places import CONFIG, run_folder
from imaxray.study.units import Unit, needs
from imaxray.study.work import do_unit, recipe_of

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig

_DIED: Final = "its process ended, as if it was killed or memory ran out"
_POLL: Final = 1.0  # seconds between two looks at the learning curves


def execute(
    config: StudyConfig, out: Path, units: Iterable[Unit], *, launch: str | None = None
) -> dict[str, str]:
    """Do units, each after those that it needs, and return the reasons of those that failed.

    Args:
        config: Configuration of the study.
        out: Study folder, with its datasets.
        units: Units to do; what they need and is not among them must be done.
        launch: Command that each training is started with, e.g. ``torchrun --nproc-per-node 4``;
            one unit runs at a time then. Without it, ``config.workers`` processes share the units.

    Returns:
        Name of a failed unit → reason; units that needed it were not begun.
    """
    waiting, failed, done = list(units), dict[str, str](), set[Unit]()
    among = set(waiting)
    lanes = 1 if launch else min(config.workers, len(waiting))
    running: dict[Future[None], Unit] = {}
    tried: set[Unit] = set()
    pool = _pool(lanes)
    try:
        lengths = _totals(config, out, waiting)
        with multi_bar(lengths) as update:
            while waiting or running:
                for unit in [u for u in waiting if _is_ready(config, u, among, done)]:
                    if len(running) == lanes:
                        break
                    waiting.remove(unit)
                    running[_submit(pool, config, out, unit, launch)] = unit
                if not running:
                    break  # what is left needs a unit that failed
                finished, _ = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
                _show(config, out, running.values(), update, lengths)
                broken = False
                for future in finished:
                    unit = running.pop(future)
                    try:
                        future.result()
                        done.add(unit)
                    except BrokenProcessPool:
                        broken = True
                        if unit in tried:
                            failed[unit.name] = _DIED
                        else:  # another unit's process may have died; each is tried once more
                            tried.add(unit)
                            waiting.insert(0, unit)
                    except ImaxrayError as error:
                        failed[unit.name] = str(error)
                    except Exception as error:
                        failed[unit.name] = f"{type(error).__name__}: {error}"
                if broken:
                    waiting[:0] = running.values()
                    running = {}
                    pool.shutdown(wait=False, cancel_futures=True)
                    pool, lanes = _pool(1), 1
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return failed


def require_all(failed: dict[str, str], units: int) -> None:
    """Raise one error that names the units that failed.

    Raises:
        ImaxrayError: If a unit failed.
    """
    if failed:
        reasons: dict[str, list[str]] = {}
        for name, reason in failed.items():
            reasons.setdefault(reason.rstrip("."), []).append(name)
        told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        raise ImaxrayError(
            f"Expected all {units} units of the study to finish, but {len(failed)} failed "
            f"({told}); the others that do not need them are done; start the same command again."
        )


def _is_ready(config: StudyConfig, unit: Unit, among: set[Unit], done: set[Unit]) -> bool:
    return all(other in done or other not in among for other in needs(config, unit))


def _pool(lanes: int) -> ProcessPoolExecutor:
    return worker_pool(lanes)


def _submit(
    pool: ProcessPoolExecutor, config: StudyConfig, out: Path, unit: Unit, launch: str | None
) -> Future[None]:
    if launch and unit.kind == "train":
        return pool.submit(launched, launch, out, unit.name)
    return pool.submit(_do, config, out, unit)


def _do(config: StudyConfig, out: Path, unit: Unit) -> None:
    """Do a unit in a process of the pool, whose import of this function must stay cheap."""
    do_unit(config, out, unit)


def launched(launch: str, out: Path, unit: str) -> None:
    """Train a unit in processes that a launcher starts, e.g. one per GPU.

    Raises:
        ImaxrayError: If the launcher is not found or its processes fail.
    """
    command = [
        *shlex.split(launch), "-m", "imaxray.cli", "study", str(out / CONFIG),
        "--out", str(out), "--only", unit,
    ]  # fmt: skip
    try:
        run = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise ImaxrayError(
            f"Expected a command that starts processes for --launch, but {shlex.split(launch)[0]} "
            "cannot be started; install it, or name another one."
        ) from error
    sys.stderr.write(run.stderr)
    if run.returncode:
        last = [line for line in run.stderr.splitlines() if line.strip()][-1:]
        raise ImaxrayError(f"{shlex.split(launch)[0]} ended with {run.returncode}: {''.join(last)}")


def _totals(config: StudyConfig, out: Path, units: Iterable[Unit]) -> dict[str, int]:
    """Return the entries that each training will see; those of equal compute are decided later."""
    totals = {}
    for unit in units:
        if unit.kind == "train" and unit.arm is not None:
            if config.arms[unit.arm].budget == "compute":
                continue
            recipe = recipe_of(config, out, unit)
            totals[_label(config, unit)] = recipe.steps * recipe.entries_per_step
    return totals


def _label(config: StudyConfig, unit: Unit) -> str:
    """Return what a training is called while it runs; its length is a number of entries."""
    model = f"{unit.model}, " if len(config.all_models) > 1 else ""
    return f"Training {model}{unit.arm}, seed {unit.seed}, entries seen"


def _show(
    config: StudyConfig,
    out: Path,
    units: Iterable[Unit],
    update: Callable[[str, int, int | None], None],
    lengths: dict[str, int],
) -> None:
    """Move the bars of running trainings; ``lengths`` gets the length of those that have none."""
    for unit in units:
        if unit.kind == "train" and unit.model and unit.arm and unit.seed is not None:
            label = _label(config, unit)
            if label not in lengths:  # of equal compute; it runs, so that its length is decided
                recipe = recipe_of(config, out, unit)
                lengths[label] = recipe.steps * recipe.entries_per_step
            folder = run_folder(config, out, unit.model, unit.arm, unit.seed)
            update(label, entries_seen(folder), lengths[label])


def entries_seen(run: Path) -> int:
    """Return the number of entries that a run has seen, read from its learning curve."""
    path = run / "curve.jsonl"
    if not path.exists():
        return 0
    advice = "remove the folder of the run, so that it is trained again"
    from imaxray.training import CurvePoint

    lines = read_state_lines(path, CurvePoint, advice=advice, cut_end=True)
    return int(lines[-1]["entries_seen"]) if lines else 0
