"""Pseudo IMAX: a model fills in the tasks that decentralized images lack; what of it to keep."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.pseudo._config import AnnotateConfig
from imaxray.pseudo._table import PSEUDO
from imaxray.pseudo._yields import equal_yield_table, rules_table, yields_table
from imaxray.pseudo.balance import balanced
from imaxray.pseudo.calibrate import TaskThreshold, Thresholds, calibrate
from imaxray.pseudo.consistency import VERDICTS, check_consistency
from imaxray.pseudo.correct import Tolerances, correct
from imaxray.pseudo.dataset import pseudo_entries, write_pseudo
from imaxray.pseudo.filtering import DROPPED, Filtered, filter_candidates
from imaxray.pseudo.folder import FilteredFolder, filter_folder
from imaxray.pseudo.perfect import right_candidates
from imaxray.pseudo.rules import Rule, load_rules

if TYPE_CHECKING:
    from imaxray.pseudo._annotate import Annotation, annotate
    from imaxray.pseudo._engine import annotate_images, ask_entries
else:  # torch
    _ANNOTATE = "imaxray.pseudo._annotate"
    _ENGINE = "imaxray.pseudo._engine"
    __getattr__ = lazily(
        __name__,
        {
            "Annotation": _ANNOTATE,
            "annotate": _ANNOTATE,
            "annotate_images": _ENGINE,
            "ask_entries": _ENGINE,
        },
    )

__all__ = [
    "DROPPED",
    "PSEUDO",
    "VERDICTS",
    "AnnotateConfig",
    "Annotation",
    "Filtered",
    "FilteredFolder",
    "Rule",
    "TaskThreshold",
    "Thresholds",
    "Tolerances",
    "annotate",
    "annotate_images",
    "ask_entries",
    "balanced",
    "calibrate",
    "check_consistency",
    "correct",
    "equal_yield_table",
    "filter_candidates",
    "filter_folder",
    "load_rules",
    "pseudo_entries",
    "right_candidates",
    "rules_table",
    "write_pseudo",
    "yields_table",
]
