"""Optimisation dynamics: the exact empirical Fisher spectrum and how tasks' gradients agree."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.dynamics.gram import REDUCTIONS, Gram, Reduction
from imaxray.dynamics.intervals import (
    Contrast,
    Estimate,
    contrast,
    crossed_probes,
    estimate,
    n_curve,
    subsamples,
    two_probes,
)
from imaxray.dynamics.statistics import STATISTICS, Spectrum, centred, spectrum
from imaxray.dynamics.tasks import TaskGeometry, task_geometry

if TYPE_CHECKING:
    from imaxray.dynamics._families import vision_scopes
    from imaxray.dynamics._recorder import GramRecorder
    from imaxray.dynamics._rows import RowMap
    from imaxray.dynamics.fisher import empirical_fisher, naive_gram, one_row_each, row_losses
else:  # torch
    _FISHER = "imaxray.dynamics.fisher"
    __getattr__ = lazily(
        __name__,
        {
            "GramRecorder": "imaxray.dynamics._recorder",
            "RowMap": "imaxray.dynamics._rows",
            "empirical_fisher": _FISHER,
            "naive_gram": _FISHER,
            "one_row_each": _FISHER,
            "row_losses": _FISHER,
            "vision_scopes": "imaxray.dynamics._families",
        },
    )

__all__ = [
    "REDUCTIONS",
    "STATISTICS",
    "Contrast",
    "Estimate",
    "Gram",
    "GramRecorder",
    "Reduction",
    "RowMap",
    "Spectrum",
    "TaskGeometry",
    "centred",
    "contrast",
    "crossed_probes",
    "empirical_fisher",
    "estimate",
    "n_curve",
    "naive_gram",
    "one_row_each",
    "row_losses",
    "spectrum",
    "subsamples",
    "task_geometry",
    "two_probes",
    "vision_scopes",
]
