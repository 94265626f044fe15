"""Shared-prefix packing: the entries of an image share one encoding of it.

Loss and gradients equal those of the separate sequences; the image is encoded and prefilled once.
"""

from imaxray.packing._batch import Batch, answer_start, collate, entry_losses
from imaxray.packing._layout import Row, common_prefix, pack, separate
from imaxray.packing._mask import additive, allowed

__all__ = [
    "Batch",
    "Row",
    "additive",
    "allowed",
    "answer_start",
    "collate",
    "common_prefix",
    "entry_losses",
    "pack",
    "separate",
]
