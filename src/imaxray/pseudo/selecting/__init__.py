"""Selects pseudo annotations that can be trusted, by confidence and by consistency."""

from imaxray.pseudo.selecting.balance import balanced
from imaxray.pseudo.selecting.calibrate import TaskThreshold, Thresholds, calibrate
from imaxray.pseudo.selecting.calibrated_filter import (
    FilteredAnnotations,
    chosen_rules,
    filter_annotations,
)
from imaxray.pseudo.selecting.config import FilterConfig
from imaxray.pseudo.selecting.consistency import VERDICTS, check_consistency
from imaxray.pseudo.selecting.correct import Tolerances, correct
from imaxray.pseudo.selecting.filter import DROPPED, Filtered, filter_candidates
from imaxray.pseudo.selecting.fusing import Fused, fuse
from imaxray.pseudo.selecting.oracle import right_candidates
from imaxray.pseudo.selecting.rules import ConsistencyRule, load_rules
from imaxray.pseudo.selecting.yields import equal_yield_table, rules_table, yields_table

__all__ = [
    "DROPPED",
    "VERDICTS",
    "ConsistencyRule",
    "FilterConfig",
    "Filtered",
    "FilteredAnnotations",
    "Fused",
    "TaskThreshold",
    "Thresholds",
    "Tolerances",
    "balanced",
    "calibrate",
    "check_consistency",
    "chosen_rules",
    "correct",
    "equal_yield_table",
    "filter_annotations",
    "filter_candidates",
    "fuse",
    "load_rules",
    "right_candidates",
    "rules_table",
    "yields_table",
]
