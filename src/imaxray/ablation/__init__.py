"""Runs ablations: studies whose arms are the three-stage strategy with parts left out."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.ablation.config import AblationConfig, load_study

if TYPE_CHECKING:
    from imaxray.ablation.reporting.stored import read_ablation
    from imaxray.ablation.reporting.write import write_ablation_report
    from imaxray.ablation.run import AblationOutcome, run_ablation
    from imaxray.ablation.tables import ablation_tables, summary, write_ablation
else:  # these modules train, so importing them loads torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "reporting.stored": ["read_ablation"],
            "reporting.write": ["write_ablation_report"],
            "run": ["AblationOutcome", "run_ablation"],
            "tables": ["ablation_tables", "summary", "write_ablation"],
        },
    )

__all__ = [
    "AblationConfig",
    "AblationOutcome",
    "ablation_tables",
    "load_study",
    "read_ablation",
    "run_ablation",
    "summary",
    "write_ablation",
    "write_ablation_report",
]
