"""Packs the entries of an image into one sequence that shares one encoding of the image.

Loss and gradients equal those of the separate sequences; the image is encoded and prefilled once.
"""

from imaxray.packing.attention import (
    PACKED_FLEX,
    PACKED_SDPA,
    entry_runs,
    use_packed_attention,
)
from imaxray.packing.batch import Batch, collate
from imaxray.packing.exact import Gap, packing_gap
from imaxray.packing.inputs import (
    MASKED,
    PACKABLE,
    model_inputs,
    require_packable,
    require_packed_mask,
)
from imaxray.packing.layout import Group, Row, common_prefix, join_rows, pack, separate
from imaxray.packing.loss import SoftTargets, entry_losses, soft_cross_entropy, step_loss
from imaxray.packing.mask import Visibility, additive, image_blocks
from imaxray.packing.plan import TOO_LONG, Dropped, PackingPlan, fill, lay_out

__all__ = [
    "MASKED",
    "PACKABLE",
    "PACKED_FLEX",
    "PACKED_SDPA",
    "TOO_LONG",
    "Batch",
    "Dropped",
    "Gap",
    "Group",
    "PackingPlan",
    "Row",
    "SoftTargets",
    "Visibility",
    "additive",
    "collate",
    "common_prefix",
    "entry_losses",
    "entry_runs",
    "fill",
    "image_blocks",
    "join_rows",
    "lay_out",
    "model_inputs",
    "pack",
    "packing_gap",
    "require_packable",
    "require_packed_mask",
    "separate",
    "soft_cross_entropy",
    "step_loss",
    "use_packed_attention",
]
