"""Studies: arms trained, evaluated on one shared test set, compared and reported."""

from imaxray.study.config import StudyConfig, load_config
from imaxray.study.publish import write_study_report
from imaxray.study.run import StudyOutcome, build_study_data, run_study

__all__ = [
    "StudyConfig",
    "StudyOutcome",
    "build_study_data",
    "load_config",
    "run_study",
    "write_study_report",
]
