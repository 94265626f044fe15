"""Compares runs of one arm or two over seeds, with intervals, tables and plots."""

from imaxray.dynamics.comparing.config import RunDynamicsConfig
from imaxray.dynamics.comparing.correlation import CAVEAT, correlate_scores, run_scores
from imaxray.dynamics.comparing.groups import (
    GroupDynamics,
    group_dynamics,
    pool_entries,
    power_table,
)
from imaxray.dynamics.comparing.report import RunDynamics, run_dynamics
from imaxray.dynamics.comparing.runs import compare_runs, probe_folder, recorded, run_spectra

__all__ = [
    "CAVEAT",
    "GroupDynamics",
    "RunDynamics",
    "RunDynamicsConfig",
    "compare_runs",
    "correlate_scores",
    "group_dynamics",
    "pool_entries",
    "power_table",
    "probe_folder",
    "recorded",
    "run_dynamics",
    "run_scores",
    "run_spectra",
]
