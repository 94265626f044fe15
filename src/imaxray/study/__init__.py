"""Studies: arms trained, evaluated on one shared test set, compared and reported."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.study.ablation_config import AblationConfig, load_study
from imaxray.study.build import DataConfig, DataReport, build_datasets
from imaxray.study.config import StudyConfig, load_config
from imaxray.study.data import build_study_data
from imaxray.study.rebuild import RebuildReport, rebuild_dataset

if TYPE_CHECKING:
    from imaxray.study._ablation_tables import ablation_tables, write_ablation
    from imaxray.study.ablation import AblationOutcome, run_ablation
    from imaxray.study.publish import write_study_report
    from imaxray.study.run import StudyOutcome, run_study
else:  # these train, and so load torch
    __getattr__ = lazily(
        __name__,
        {
            "AblationOutcome": "imaxray.study.ablation",
            "ablation_tables": "imaxray.study._ablation_tables",
            "run_ablation": "imaxray.study.ablation",
            "write_ablation": "imaxray.study._ablation_tables",
            "StudyOutcome": "imaxray.study.run",
            "run_study": "imaxray.study.run",
            "write_study_report": "imaxray.study.publish",
        },
    )

__all__ = [
    "AblationConfig",
    "AblationOutcome",
    "DataConfig",
    "DataReport",
    "RebuildReport",
    "StudyConfig",
    "StudyOutcome",
    "ablation_tables",
    "build_datasets",
    "build_study_data",
    "load_config",
    "load_study",
    "rebuild_dataset",
    "run_ablation",
    "run_study",
    "write_ablation",
    "write_study_report",
]
