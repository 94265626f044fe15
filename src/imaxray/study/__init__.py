"""Runs studies: trains arms, evaluates them on one shared test set, compares and reports them."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.study.build import DataConfig, DataReport, build_datasets
from imaxray.study.config import StudyConfig, load_config, require_releases
from imaxray.study.prepare import build_study_data
from imaxray.study.rebuild import RebuildReport, rebuild_dataset

if TYPE_CHECKING:
    from imaxray.study.publish import write_study_report
    from imaxray.study.run import StudyOutcome, run_study
else:  # these modules train, so importing them loads torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "publish": ["write_study_report"],
            "run": ["StudyOutcome", "run_study"],
        },
    )

__all__ = [
    "DataConfig",
    "DataReport",
    "RebuildReport",
    "StudyConfig",
    "StudyOutcome",
    "build_datasets",
    "build_study_data",
    "load_config",
    "rebuild_dataset",
    "require_releases",
    "run_study",
    "write_study_report",
]
