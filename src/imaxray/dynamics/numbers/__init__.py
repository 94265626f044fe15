"""Computes numbers from Gram matrices: spectra, task geometry, intervals and tables."""

from imaxray.dynamics.numbers.contrasts import Contrast, contrast, contrasts, two_probes
from imaxray.dynamics.numbers.crossed import (
    Crossed,
    crossed_over_seeds,
    crossed_probes,
    crossed_table,
)
from imaxray.dynamics.numbers.gram import REDUCTIONS, Gram, Matrix, Reduction
from imaxray.dynamics.numbers.intervals import Estimate, estimate, n_curve, over_seeds, subsamples
from imaxray.dynamics.numbers.power import found_share, seeds_needed, smallest_effect
from imaxray.dynamics.numbers.spectrum import STATISTICS, Spectrum, centred, spectrum
from imaxray.dynamics.numbers.tables import (
    PAIRS,
    SPECTRA,
    spectra_table,
    tasks_over_runs,
    tasks_table,
)
from imaxray.dynamics.numbers.task_geometry import TaskGeometry, task_geometry

__all__ = [
    "PAIRS",
    "REDUCTIONS",
    "SPECTRA",
    "STATISTICS",
    "Contrast",
    "Crossed",
    "Estimate",
    "Gram",
    "Matrix",
    "Reduction",
    "Spectrum",
    "TaskGeometry",
    "centred",
    "contrast",
    "contrasts",
    "crossed_over_seeds",
    "crossed_probes",
    "crossed_table",
    "estimate",
    "found_share",
    "n_curve",
    "over_seeds",
    "seeds_needed",
    "smallest_effect",
    "spectra_table",
    "spectrum",
    "subsamples",
    "task_geometry",
    "tasks_over_runs",
    "tasks_table",
    "two_probes",
]
