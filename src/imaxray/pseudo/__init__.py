"""Makes pseudo IMAX: a model answers tasks that images lack, and filters select its answers."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.pseudo.annotating import AnnotateConfig, AskConfig
from imaxray.pseudo.annotators import Annotator, ImageRequest, Stated, list_annotators
from imaxray.pseudo.dataset import pseudo_entries, write_pseudo
from imaxray.pseudo.folder import FilteredFolder, filter_folder
from imaxray.pseudo.selecting import (
    DROPPED,
    VERDICTS,
    ConsistencyRule,
    FilterConfig,
    Filtered,
    FilteredAnnotations,
    Fused,
    TaskThreshold,
    Thresholds,
    Tolerances,
    balanced,
    calibrate,
    check_consistency,
    chosen_rules,
    correct,
    equal_yield_table,
    filter_annotations,
    filter_candidates,
    fuse,
    load_rules,
    right_candidates,
    rules_table,
    yields_table,
)
from imaxray.pseudo.table import PSEUDO

if TYPE_CHECKING:
    from imaxray.pseudo.annotating import Annotation, annotate, annotate_images, ask_entries
else:  # torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "annotating": ["Annotation", "annotate", "annotate_images", "ask_entries"],
        },
    )

__all__ = [
    "DROPPED",
    "PSEUDO",
    "VERDICTS",
    "AnnotateConfig",
    "Annotation",
    "Annotator",
    "AskConfig",
    "ConsistencyRule",
    "FilterConfig",
    "Filtered",
    "FilteredAnnotations",
    "FilteredFolder",
    "Fused",
    "ImageRequest",
    "Stated",
    "TaskThreshold",
    "Thresholds",
    "Tolerances",
    "annotate",
    "annotate_images",
    "ask_entries",
    "balanced",
    "calibrate",
    "check_consistency",
    "chosen_rules",
    "correct",
    "equal_yield_table",
    "filter_annotations",
    "filter_candidates",
    "filter_folder",
    "fuse",
    "list_annotators",
    "load_rules",
    "pseudo_entries",
    "right_candidates",
    "rules_table",
    "write_pseudo",
    "yields_table",
]
