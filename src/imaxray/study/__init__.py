"""Studies: arms trained, evaluated on one shared test set, compared and reported."""

from imaxray.study.build import DataConfig, DataReport, build_datasets
from imaxray.study.config import StudyConfig, load_config
from imaxray.study.publish import write_study_report
from imaxray.study.rebuild import RebuildReport, rebuild_dataset
from imaxray.study.run import StudyOutcome, build_study_data, run_study

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
    "run_study",
    "write_study_report",
]
