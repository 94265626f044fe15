"""Reads the outcome of a finished ablation from its folder, without a model and without scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypedDict

import polars as pl

from imaxray._common.config import validated
from imaxray._common.folders import require_recorded
from imaxray._common.state import read_state
from imaxray.ablation.arm import ArmRecord
from imaxray.ablation.config import AblationConfig
from imaxray.ablation.run import AblationOutcome
from imaxray.errors import ImaxrayError
from imaxray.evaluation import Comparison
from imaxray.evaluation.comparing.comparison import ComparisonData
from imaxray.report import REPORT

RESULTS: Final = "ablation.json"
"""File of a finished ablation that holds its results."""


class _Results(TypedDict):
    """What :func:`imaxray.ablation.write_ablation` writes."""

    config: dict[str, Any]
    arms: dict[str, list[ArmRecord]]
    equal_steps: ComparisonData
    equal_compute: ComparisonData | None
    pseudo: list[dict[str, Any]]
    equal_yield: list[dict[str, Any]]
    rules: list[dict[str, Any]]


def read_ablation(out: Path) -> AblationOutcome:
    """Return the outcome of a finished ablation as its folder holds it.

    Args:
        out: Folder of the ablation, which :func:`imaxray.ablation.run_ablation` wrote.

    Raises:
        ImaxrayError: If the folder holds no finished ablation, or its results are damaged.
    """
    path = out / RESULTS
    if not path.is_file():
        raise ImaxrayError(
            f"Expected a finished ablation with {RESULTS} in {out}, but there is none; run "
            "`imaxray study` with its configuration until it ends."
        )
    again = "run the ablation again, which repeats no finished work"
    require_recorded(out, advice=again, leave_out=[REPORT])
    found: _Results = read_state(path, _Results, advice=again)
    compute = found["equal_compute"]
    return AblationOutcome(
        validated(AblationConfig, found["config"], where=str(path), see="docs/strategy.md"),
        out,
        Comparison(found["equal_steps"]),
        None if compute is None else Comparison(compute),
        found["arms"],  # type: ignore[arg-type]  # its keys are names of arms
        *(
            pl.DataFrame(rows, infer_schema_length=None)
            for rows in (found["pseudo"], found["equal_yield"], found["rules"])
        ),
    )
