"""Records the Gram matrix of per-entry gradients from ordinary backward passes.

The package needs torch.
"""

from imaxray.dynamics.recording.fisher import (
    Losses,
    Rows,
    empirical_fisher,
    naive_gram,
    one_row_each,
    row_losses,
)
from imaxray.dynamics.recording.recorder import GramRecorder
from imaxray.dynamics.recording.row_map import RowMap
from imaxray.dynamics.recording.vision_maps import vision_scopes

__all__ = [
    "GramRecorder",
    "Losses",
    "RowMap",
    "Rows",
    "empirical_fisher",
    "naive_gram",
    "one_row_each",
    "row_losses",
    "vision_scopes",
]
