"""Pseudo IMAX: a model fills in the tasks that decentralized images lack; what of it to keep."""

from imaxray.pseudo._table import PSEUDO
from imaxray.pseudo._yields import equal_yield_table, rules_table, yields_table
from imaxray.pseudo.calibrate import TaskThreshold, Thresholds, calibrate
from imaxray.pseudo.consistency import VERDICTS, check_consistency
from imaxray.pseudo.correct import Tolerances, correct
from imaxray.pseudo.dataset import pseudo_entries, write_pseudo
from imaxray.pseudo.filtering import DROPPED, Filtered, filter_candidates
from imaxray.pseudo.folder import FilteredFolder, filter_folder
from imaxray.pseudo.rules import Rule, load_rules

__all__ = [
    "DROPPED",
    "PSEUDO",
    "VERDICTS",
    "Filtered",
    "FilteredFolder",
    "Rule",
    "TaskThreshold",
    "Thresholds",
    "Tolerances",
    "calibrate",
    "check_consistency",
    "correct",
    "equal_yield_table",
    "filter_candidates",
    "filter_folder",
    "load_rules",
    "pseudo_entries",
    "rules_table",
    "write_pseudo",
    "yields_table",
]
