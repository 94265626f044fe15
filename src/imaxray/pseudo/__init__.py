"""Pseudo IMAX: a model fills in the tasks that decentralized images lack; what of it to keep."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.pseudo._config import AnnotateConfig
from imaxray.pseudo._table import PSEUDO

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
    "PSEUDO",
    "AnnotateConfig",
    "Annotation",
    "annotate",
    "annotate_images",
    "ask_entries",
]
