"""Reads the outcome of a finished study from its folder, without a model and without scoring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from imaxray._common.folders import require_recorded
from imaxray._common.state import read_state
from imaxray.errors import ImaxrayError
from imaxray.evaluation import Comparison
from imaxray.evaluation.comparing.comparison import ComparisonData
from imaxray.report import REPORT
from imaxray.study.budget import read_run
from imaxray.study.config import StudyConfig, load_config
from imaxray.study.places import CONFIG, PICTURE, run_folders
from imaxray.study.results.clock import clock_table
from imaxray.study.results.dynamics_tables import read_dynamics
from imaxray.study.results.model_table import ModelTable, OverModels, gain_frame
from imaxray.study.results.outcome import LayoutEffect, ModelOutcome, StudyOutcome, speed

if TYPE_CHECKING:
    from imaxray.training import RunManifest

_AGAIN: Final = "run the study again, which compares its arms again"


class _Layout(TypedDict):
    data: str
    arm: str
    other: str
    comparison: ComparisonData


class _Model(TypedDict):
    """What ``comparison.json`` holds of a model, see :meth:`ModelOutcome.as_dict`."""

    equal_entries: ComparisonData
    equal_compute: ComparisonData | None
    layouts: list[_Layout]


class _Line(TypedDict):
    """The fields of :class:`OverModels`."""

    view: str
    arm: str
    mean: float
    median: float
    low: float
    high: float
    least: float
    most: float
    ahead: int
    models: int
    p: float
    stated: str | None


class _Over(TypedDict):
    """What ``comparison.json`` holds of the table over models."""

    reference: str
    level: float
    rows: list[dict[str, Any]]
    over_models: list[_Line]


class _Several(TypedDict):
    models: dict[str, _Model]
    table: _Over


def read_outcome(out: Path) -> StudyOutcome:
    """Return the outcome of a finished study as its folder holds it.

    Args:
        out: Study folder, which :func:`imaxray.study.run_study` wrote.

    Raises:
        ImaxrayError: If the folder holds no finished study, or a file is missing or damaged.
    """
    config = stored_config(out)
    require_recorded(out, advice=_AGAIN, leave_out=[PICTURE, REPORT])
    path = out / "comparison.json"
    table: _Over | None = None
    if len(config.all_models) > 1:
        several: _Several = read_state(path, _Several, advice=_AGAIN)
        found, table = several["models"], several["table"]
    else:
        only: _Model = read_state(path, _Model, advice=_AGAIN)
        found = {next(iter(config.all_models)): only}
    if set(found) != set(config.all_models):
        raise ImaxrayError(
            f"Expected a comparison of the models {', '.join(config.all_models)} in {out}, but "
            f"comparison.json is of {', '.join(found)}; {_AGAIN}."
        )
    dynamics = None if config.dynamics is None else read_dynamics(config, out)
    return StudyOutcome(
        config,
        out,
        {name: _model(config, out, name, part) for name, part in found.items()},
        None if table is None else _table(table),
        read_state(out / "match.json", advice="run the unit data again"),
        dynamics,
    )


def stored_config(out: Path) -> StudyConfig:
    """Return the configuration that a study folder holds.

    Raises:
        ImaxrayError: If the folder holds no finished study.
    """
    if not out.is_dir():
        raise ImaxrayError(f"Expected the folder of a study, but {out} is not a folder; name one.")
    lacking = [name for name in (CONFIG, "comparison.json") if not (out / name).is_file()]
    if lacking:
        raise ImaxrayError(
            f"Expected a finished study in {out}, but it has no {' and no '.join(lacking)}; name "
            "the --out folder of `imaxray study`, or run it to its end."
        )
    return load_config(out / CONFIG)


def _model(config: StudyConfig, out: Path, name: str, content: _Model) -> ModelOutcome:
    runs: dict[str, list[RunManifest]] = {
        arm: [read_run(folder) for folder in run_folders(config, out, name, arm)]
        if block.is_trained
        else []
        for arm, block in config.arms.items()
    }
    compute = content["equal_compute"]
    compared = set(content["equal_entries"]["arms"]) | set(compute["arms"] if compute else ())
    if compared != set(config.arms):
        raise ImaxrayError(
            f"Expected a comparison of the arms {', '.join(config.arms)} in {out}, but "
            f"comparison.json is of {', '.join(sorted(compared))}; {_AGAIN}."
        )
    return ModelOutcome(
        name,
        Comparison(content["equal_entries"]),
        None if compute is None else Comparison(compute),
        {},
        runs,
        clock_table(config, out, name),
        [
            LayoutEffect(
                effect["data"], effect["arm"], effect["other"], Comparison(effect["comparison"]),
                speed(runs[effect["arm"]]) / speed(runs[effect["other"]]),
            )
            for effect in content["layouts"]
        ],
    )  # fmt: skip


def _table(content: _Over) -> ModelTable:
    return ModelTable(
        content["reference"],
        gain_frame(content["rows"]),
        [OverModels(**line) for line in content["over_models"]],
        content["level"],
    )
