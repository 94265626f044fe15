"""Lets a model answer the tasks that images lack (annotation)."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.pseudo.annotating.config import AnnotateConfig, AnnotationEngine, AskConfig

if TYPE_CHECKING:
    from imaxray.pseudo.annotating.annotation import Annotation, annotate
    from imaxray.pseudo.annotating.batch import annotate_images, ask_entries
    from imaxray.pseudo.annotating.teachers import teacher_digest
else:  # torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "annotation": ["Annotation", "annotate"],
            "batch": ["annotate_images", "ask_entries"],
            "teachers": ["teacher_digest"],
        },
    )

__all__ = [
    "AnnotateConfig",
    "Annotation",
    "AnnotationEngine",
    "AskConfig",
    "annotate",
    "annotate_images",
    "ask_entries",
    "teacher_digest",
]
