"""Adapts Qwen3-VL (MedMO): smart resize by 32, boxes 0-1000 of the whole image."""

from __future__ import annotations

from imaxray.models.families.qwen2_5_vl import Qwen25VLModel


class Qwen3VLModel(Qwen25VLModel):
    """Wraps ``Qwen3VLForConditionalGeneration``.

    Images are processed as in Qwen2.5-VL, with patches of 16 instead of 14 pixels. Features of
    several depths are added at the image tokens inside the text model (deepstack); their mergers
    belong to the connector.
    """

    family = "qwen3_vl"
    tower = ("model.visual.patch_embed", "model.visual.pos_embed", "model.visual.blocks")
    connector = ("model.visual.merger", "model.visual.deepstack_merger_list")
