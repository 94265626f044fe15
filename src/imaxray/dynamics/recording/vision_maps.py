"""Derives the row maps of vision towers from the model inputs of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imaxray.dynamics.recording.row_map import RowMap
from imaxray.errors import ImaxrayError

SCOPES = (
    "vision_tower",
    "visual",
    "vision_model",
    "multi_modal_projector",
)
"""Parts of module paths; in modules below them a row is an image, a tile or a patch."""


def vision_scopes(
    model: nn.Module,
    inputs: Mapping[str, Any],
    rows: RowMap,
    image_rows: Sequence[int] | None = None,
) -> dict[str, RowMap]:
    """Return the scopes for :meth:`GramRecorder.begin`: the sample of each vision tower row.

    The map is derived from one of three inputs: ``image_grid_thw`` (Qwen: patches in one long row),
    five-dimensional ``pixel_values`` with ``image_sizes`` (LLaVA-Next and LLaVA-OneVision: tiles,
    with padding tiles removed as the model does), or four-dimensional ``pixel_values`` (one tower
    row per image, crop or tile).

    Args:
        model: A ``transformers`` model, with or without a PEFT wrapper.
        inputs: Keyword arguments of the model.
        rows: Row map of the text model.
        image_rows: Text row of each image (each row of ``pixel_values`` or ``image_grid_thw``). If
            None, every text row has one image, in order.

    Raises:
        ImaxrayError: If the number of images does not fit the rows.
    """
    pixels = inputs.get("pixel_values")
    if not isinstance(pixels, Tensor):
        return {}
    config: Any = model.config
    grid = inputs.get("image_grid_thw")
    if grid is not None:
        owners = _owners(len(grid), rows, image_rows)
        lengths = torch.as_tensor(grid).prod(-1).tolist()
        found = RowMap.runs(owners, lengths, count=rows.count, merges=True)
    elif pixels.dim() == 5:
        owners = _owners(len(pixels), rows, image_rows)
        tiles = _tiles(config, inputs, len(pixels))
        found = RowMap.runs(owners, tiles, count=rows.count)
    else:
        found = RowMap(_owners(len(pixels), rows, image_rows), count=rows.count)
    return dict.fromkeys(SCOPES, found)


def _owners(images: int, rows: RowMap, image_rows: Sequence[int] | None) -> list[int]:
    if image_rows is None:
        if images != len(rows.samples):
            raise ImaxrayError(
                f"Expected one image per row, but got {images} for {len(rows.samples)} rows; "
                "pass image_rows, the row of each image."
            )
        image_rows = range(images)
    if len(image_rows) != images:
        raise ImaxrayError(
            f"Expected the row of each of {images} images, but image_rows has {len(image_rows)}; "
            "pass one row per image."
        )
    return [int(rows.samples[row]) for row in image_rows]


def _tiles(config: Any, inputs: Mapping[str, Any], images: int) -> list[int]:
    """Return the number of tiles of each image, counted as the model itself does."""
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

    sizes = inputs["image_sizes"]
    counts = [
        int(image_size_to_num_patches(size, config.image_grid_pinpoints,
                                      config.vision_config.image_size))
        for size in sizes
    ]  # fmt: skip
    if config.model_type == "llava_onevision":
        # samples with several images use only the base tile of each image
        given = inputs.get("batch_num_images")
        numbers = [1] * images if given is None else [int(n) for n in given]
        several = [n != 1 for n in numbers for _ in range(n)]
        counts = [1 if many else n for many, n in zip(several, counts, strict=True)]
    return counts
