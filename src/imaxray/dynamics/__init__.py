"""Optimisation dynamics: the exact empirical Fisher spectrum and how tasks' gradients agree."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.dynamics.arms import RunDynamics, run_dynamics
from imaxray.dynamics.correlation import CAVEAT, correlate_scores, run_scores
from imaxray.dynamics.crossed import Crossed, crossed_over_seeds, crossed_probes, crossed_table
from imaxray.dynamics.gram import REDUCTIONS, Gram, Reduction
from imaxray.dynamics.intervals import (
    Contrast,
    Estimate,
    contrast,
    contrasts,
    estimate,
    n_curve,
    over_seeds,
    subsamples,
    two_probes,
)
from imaxray.dynamics.probe_entries import probe_entries, probe_pair
from imaxray.dynamics.runs import compare_runs, recorded, run_spectra
from imaxray.dynamics.statistics import STATISTICS, Spectrum, centred, spectrum
from imaxray.dynamics.summary import PAIRS, SPECTRA, spectra_table, tasks_over_runs, tasks_table
from imaxray.dynamics.tasks import TaskGeometry, task_geometry

if TYPE_CHECKING:
    from imaxray.dynamics._batches import separate_inputs
    from imaxray.dynamics._families import vision_scopes
    from imaxray.dynamics._recorder import GramRecorder
    from imaxray.dynamics._rows import RowMap
    from imaxray.dynamics.finished import RunProbe, measure_runs
    from imaxray.dynamics.fisher import empirical_fisher, naive_gram, one_row_each, row_losses
    from imaxray.dynamics.measure import make_probe, measure_probe, probe_while_training
    from imaxray.dynamics.probe import FisherProbe, Probe, StepFisher
else:  # torch
    _PROBE = "imaxray.dynamics.probe"
    _FISHER = "imaxray.dynamics.fisher"
    _MEASURE = "imaxray.dynamics.measure"
    __getattr__ = lazily(
        __name__,
        {
            "GramRecorder": "imaxray.dynamics._recorder",
            "FisherProbe": _PROBE,
            "Probe": _PROBE,
            "StepFisher": _PROBE,
            "separate_inputs": "imaxray.dynamics._batches",
            "RowMap": "imaxray.dynamics._rows",
            "empirical_fisher": _FISHER,
            "naive_gram": _FISHER,
            "one_row_each": _FISHER,
            "row_losses": _FISHER,
            "make_probe": _MEASURE,
            "measure_probe": _MEASURE,
            "RunProbe": "imaxray.dynamics.finished",
            "measure_runs": "imaxray.dynamics.finished",
            "probe_while_training": _MEASURE,
            "vision_scopes": "imaxray.dynamics._families",
        },
    )

__all__ = [
    "CAVEAT",
    "PAIRS",
    "REDUCTIONS",
    "SPECTRA",
    "STATISTICS",
    "Contrast",
    "Crossed",
    "Estimate",
    "FisherProbe",
    "Gram",
    "GramRecorder",
    "Probe",
    "Reduction",
    "RowMap",
    "RunDynamics",
    "RunProbe",
    "Spectrum",
    "StepFisher",
    "TaskGeometry",
    "centred",
    "compare_runs",
    "contrast",
    "contrasts",
    "correlate_scores",
    "crossed_over_seeds",
    "crossed_probes",
    "crossed_table",
    "empirical_fisher",
    "estimate",
    "make_probe",
    "measure_probe",
    "measure_runs",
    "n_curve",
    "naive_gram",
    "one_row_each",
    "over_seeds",
    "probe_entries",
    "probe_pair",
    "probe_while_training",
    "recorded",
    "row_losses",
    "run_dynamics",
    "run_scores",
    "run_spectra",
    "separate_inputs",
    "spectra_table",
    "spectrum",
    "subsamples",
    "task_geometry",
    "tasks_over_runs",
    "tasks_table",
    "two_probes",
    "vision_scopes",
]
