"""Runs studies: trains arms, evaluates them on one shared test set, compares and reports them."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.study.arms import StudyArm
from imaxray.study.build import DataConfig, DataReport, build_datasets
from imaxray.study.config import StudyConfig, load_config, require_releases
from imaxray.study.estimating.config import EstimateConfig
from imaxray.study.model import StudyModel
from imaxray.study.prepare import build_study_data
from imaxray.study.rebuild import RebuildReport, rebuild_dataset
from imaxray.study.units import Unit, study_units, unit_states

if TYPE_CHECKING:
    from imaxray.study.estimating.estimate import StudyEstimate, UnitEstimate, estimate_study
    from imaxray.study.reporting.write import write_study_report
    from imaxray.study.run import ModelOutcome, StudyOutcome, run_study, run_unit
else:  # these modules train, so importing them loads torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "estimating.estimate": ["StudyEstimate", "UnitEstimate", "estimate_study"],
            "reporting.write": ["write_study_report"],
            "run": ["ModelOutcome", "StudyOutcome", "run_study", "run_unit"],
        },
    )

__all__ = [
    "DataConfig",
    "DataReport",
    "EstimateConfig",
    "ModelOutcome",
    "RebuildReport",
    "StudyArm",
    "StudyConfig",
    "StudyEstimate",
    "StudyModel",
    "StudyOutcome",
    "Unit",
    "UnitEstimate",
    "build_datasets",
    "build_study_data",
    "estimate_study",
    "load_config",
    "rebuild_dataset",
    "require_releases",
    "run_study",
    "run_unit",
    "study_units",
    "unit_states",
    "write_study_report",
]
