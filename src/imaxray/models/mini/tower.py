"""Defines the image tower of mini-llava: EfficientNet-lite0, whose cells become tokens.

EfficientNet-lite (Tan and Liu 2020) is EfficientNet (arXiv:1905.11946) without squeeze-and-excite
and with ReLU6. Importing the module registers the tower with ``transformers``, so that a saved
model loads without remote code.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

_BLOCKS: Final = (  # repeats, kernel, stride, expansion, channels in, channels out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_STEM: Final = 32
_FINE: Final = 11
"""Number of blocks up to the last one whose cells have 16 pixels."""

_FINE_CHANNELS, _COARSE_CHANNELS = 112, 320
_WAVES: Final = (1, 2, 4)  # of the position of a cell: half periods over the image

WIDTH: Final = _COARSE_CHANNELS + 4 * _FINE_CHANNELS + 4 * len(_WAVES)
"""Number of values per token."""


class EfficientNetLiteConfig(PretrainedConfig):  # type: ignore[misc]
    """Configures the image tower; ``image_size`` is the side length of its input in pixels."""

    model_type = "imaxray_efficientnet_lite0"

    def __init__(self, image_size: int = 320, **kwargs: Any) -> None:
        self.image_size = image_size
        self.patch_size = 32
        self.hidden_size = WIDTH
        super().__init__(**kwargs)


class EfficientNetLiteTower(PreTrainedModel):  # type: ignore[misc]
    """Turns an image into one token per 32 × 32 pixels.

    A token has the 320 values of its cell, the 112 values of each of the four cells of 16 × 16
    pixels inside it, and waves of its position, because convolutions alone do not know where they
    are. The two groups of values are normalised without weights, since their scales differ.
    """

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ("_Block",)

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.stem = _Layer(3, _STEM, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        for repeats, kernel, stride, expansion, before, after in _BLOCKS:
            for number in range(repeats):
                first = number == 0
                blocks.append(
                    _Block(before if first else after, after, kernel, stride if first else 1,
                           expansion)
                )  # fmt: skip
        self.blocks = nn.ModuleList(blocks)
        self.post_init()

    def train(self, mode: bool = True) -> EfficientNetLiteTower:
        """Keep the statistics of the pretrained normalisation, in training too."""
        super().train(False)
        return self

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        """Return tokens (images, cells, ``WIDTH``) of ``pixel_values`` (images, 3, side, side)."""
        values = self.stem(pixel_values)
        for block in self.blocks[:_FINE]:
            values = block(values)
        fine = functional.pixel_unshuffle(values, 2)
        for block in self.blocks[_FINE:]:
            values = block(values)
        images, _, high, wide = values.shape
        parts = [
            functional.layer_norm(part.flatten(2).transpose(1, 2), part.shape[1:2])
            for part in (values, fine)
        ]
        place = _waves(high, wide).to(parts[0]).expand(images, -1, -1)
        tokens = torch.cat([*parts, place], dim=-1)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens,))


class _Layer(nn.Module):
    """Applies a convolution that keeps cells aligned as TensorFlow does, and a normalisation."""

    def __init__(
        self,
        before: int,
        after: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bends: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.01)
        # TensorFlow pads at the right and at the bottom first; sides are multiples of the stride
        rest = kernel - stride
        self._pad = (rest // 2, rest - rest // 2) * 2
        self._bends = bends

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.norm(self.conv(functional.pad(values, self._pad)))
        return functional.relu6(values) if self._bends else values


class _Block(nn.Module):
    """Widens, filters each channel, and narrows again (an inverted bottleneck)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = _Layer(before, inner) if expansion > 1 else nn.Identity()
        self.depthwise = _Layer(inner, inner, kernel=kernel, stride=stride, groups=inner)
        self.project = _Layer(inner, after, bends=False)
        self._adds = stride == 1 and before == after

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.project(self.depthwise(self.expand(values)))
        return values + found if self._adds else found


def _waves(high: int, wide: int) -> torch.Tensor:
    """Return sines and cosines of the position of each cell (1, high · wide, 12)."""
    down, across = ((torch.arange(n) + 0.5) / n * torch.pi for n in (high, wide))
    both = torch.meshgrid(down, across, indexing="ij")
    angles = torch.stack([position * wave for position in both for wave in _WAVES], dim=-1)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(0, 1)[None]


AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteTower, exist_ok=True)
