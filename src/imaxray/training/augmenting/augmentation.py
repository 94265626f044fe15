"""Draws the change of an image and applies it to its pixels and its boxes.

Pillow does the image work. Its affine transform is two to seven times as fast as those of
``scipy.ndimage`` and kornia on grey images of every size that was measured (docs/training.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from imaxray.boxes import Box, area, clip
from imaxray.hashing import digest
from imaxray.training.augmenting.config import AugmentConfig

Size = tuple[float, float]
"""Width and height."""

MARGIN: Final = 0.04
"""Share of each side that may leave the image at that side; what lies further inside stays."""

KEPT: Final = 0.97
"""Share of its area that every box keeps inside the image."""

TIGHT: Final = 0.85
"""Least share that a rotated box has of the area of the upright box around it."""

_GRAIN: Final = 512  # cells of noise on the longer side: a finer grain is lost when models resize
_TRIES: Final = (1.0, 0.75, 0.5, 0.25)
_LEVELS: Final = np.arange(256) / 255


@dataclass(frozen=True)
class Augmentation:
    """Describes how one image is changed; the default changes nothing.

    The geometric part is a similarity about the centre of the image in its own pixels: it is
    rotated, scaled alike on both axes, and shifted. It has no reflection.

    Attributes:
        gain: Factor of all grey values.
        gamma: Exponent of the grey values, which lie between 0 and 1.
        noise: Standard deviation of the noise, as a share of the grey range.
        noise_seed: Seed of the noise.
        rotation: Angle in degrees, clockwise.
        scale: Factor of the size.
        shift: Shift to the right and down, as shares of the shorter side.
    """

    gain: float = 1.0
    gamma: float = 1.0
    noise: float = 0.0
    noise_seed: int = 0
    rotation: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def moves(self) -> bool:
        """Whether pixels and boxes move."""
        return self.rotation != 0 or self.scale != 1 or self.shift != (0, 0)

    def weakened(self, share: float) -> Augmentation:
        """Return the augmentation with a share of its geometric part; 0 leaves pixels in place."""
        return replace(
            self,
            rotation=self.rotation * share,
            scale=self.scale**share,
            shift=(self.shift[0] * share, self.shift[1] * share),
        )

    def fitted(self, boxes: Sequence[Box], size: Size) -> Augmentation:
        """Return the augmentation with its geometric part weakened until no answer becomes wrong.

        What lies more than :data:`MARGIN` inside the image stays in it, every box keeps
        :data:`KEPT` of its area, and the upright box around a rotated box is at most
        1 / :data:`TIGHT` times as large.

        Args:
            boxes: All boxes of the image, in pixels.
            size: Width and height of the image in pixels.
        """
        if not self.moves:
            return self
        width, height = size
        inner = (
            width * MARGIN, height * MARGIN, width * (1 - MARGIN), height * (1 - MARGIN),
        )  # fmt: skip
        for share in _TRIES:
            weaker = self.weakened(share)
            x1, y1, x2, y2 = weaker._around(inner, size)
            # The corners of the upright box lie further out than those of the rotated inner part,
            # so the whole of that part stays.
            if min(x1, y1, width - x2, height - y2) >= 0 and all(
                weaker._keeps(box, size) for box in boxes
            ):
                return weaker
        return self.weakened(0)

    def box(self, box: Box, size: Size) -> Box:
        """Return the upright box around the moved box, cut at the edges of the image.

        Args:
            box: Box in pixels of the image.
            size: Width and height of the image in pixels.

        Example:
            >>> Augmentation(shift=(0.1, 0)).box((10, 20, 30, 40), (100, 200))
            (20.0, 20.0, 40.0, 40.0)
        """
        if not self.moves:
            return box
        return clip(self._around(box, size), *size) or box

    def image(self, picture: Image.Image, size: Size | None = None) -> Image.Image:
        """Return the changed picture; what comes from beyond its edges is black.

        Args:
            picture: Grey picture of 8 bits.
            size: Width and height of the original image, if the picture is a copy of it with other
                proportions; the change is then that of the original.
        """
        if self.gain != 1 or self.gamma != 1:
            levels = np.clip(self.gain * _LEVELS**self.gamma, 0, 1)
            picture = picture.point(np.rint(255 * levels).astype(int).tolist())
        if self.moves:
            picture = picture.transform(
                picture.size,
                Image.Transform.AFFINE,
                self._backwards(picture.size, size or picture.size),
                Image.Resampling.BILINEAR,
                fillcolor=0,
            )
        return self._noisy(picture) if self.noise else picture

    def _keeps(self, box: Box, size: Size) -> bool:
        around = self._around(box, size)
        left = clip(around, *size)
        whole = area(around)
        return (
            left is not None
            and area(left) >= KEPT * whole
            and area(box) * self.scale**2 >= TIGHT * whole
        )

    def _around(self, box: Box, size: Size) -> Box:
        """Return the upright box around the moved box, which may reach beyond the image."""
        (width, height), (x1, y1, x2, y2) = size, box
        short = min(size)
        angle = math.radians(self.rotation)
        cos, sin = self.scale * math.cos(angle), self.scale * math.sin(angle)
        x, y = (x1 + x2 - width) / 2, (y1 + y2 - height) / 2
        middle_x = width / 2 + self.shift[0] * short + cos * x - sin * y
        middle_y = height / 2 + self.shift[1] * short + sin * x + cos * y
        half_x = (cos * (x2 - x1) + abs(sin) * (y2 - y1)) / 2
        half_y = (abs(sin) * (x2 - x1) + cos * (y2 - y1)) / 2
        return middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y

    def _backwards(
        self, pictured: Size, size: Size
    ) -> tuple[float, float, float, float, float, float]:
        """Return Pillow's coefficients, which lead from the new picture to the old one."""
        (width, height), short = size, min(size)
        angle = math.radians(self.rotation)
        cos, sin = math.cos(angle) / self.scale, math.sin(angle) / self.scale
        # old = centre + rotated back (new - centre - shift), in pixels of the original
        x0, y0 = width / 2 + self.shift[0] * short, height / 2 + self.shift[1] * short
        across, down = pictured[0] / width, pictured[1] / height
        return (
            cos, sin * across / down, across * (width / 2 - cos * x0 - sin * y0),
            -sin * down / across, cos, down * (height / 2 + sin * x0 - cos * y0),
        )  # fmt: skip

    def _noisy(self, picture: Image.Image) -> Image.Image:
        width, height = picture.size
        coarser = min(1.0, _GRAIN / max(width, height))
        cells = (max(1, round(width * coarser)), max(1, round(height * coarser)))
        random = np.random.default_rng(self.noise_seed)
        noise = random.standard_normal(cells[::-1], dtype=np.float32)
        noise *= np.float32(255 * self.noise)
        if cells != picture.size:
            grown = Image.fromarray(noise).resize(picture.size, Image.Resampling.BILINEAR)
            noise = np.array(grown)
        noise += np.asarray(picture)
        np.rint(noise, out=noise)
        np.clip(noise, 0, 255, out=noise)
        return Image.fromarray(noise.astype(np.uint8))


def draw(config: AugmentConfig, key: str) -> Augmentation:
    """Draw an augmentation; the same key always gives the same one.

    Args:
        config: Strengths of the transforms.
        key: Text that names the seed, the step and the image.
    """
    random = np.random.default_rng(digest(key))
    chance, *parts = random.random(8).tolist()
    if chance >= config.probability:
        return Augmentation()
    gain, gamma, noise, rotation, scale, across, down = parts
    return Augmentation(
        gain=1 + _even(gain, config.brightness),
        gamma=(1 + config.contrast) ** _even(gamma, 1),
        noise=noise * config.noise,
        noise_seed=int(random.integers(2**63)),
        rotation=_even(rotation, config.rotation),
        scale=(1 + config.scale) ** _even(scale, 1),
        shift=(_even(across, config.shift), _even(down, config.shift)),
    )


def draw_for_row(
    config: AugmentConfig, *, seed: int, step: int, row: int, image_id: str
) -> Augmentation:
    """Draw the augmentation of a row of a training, before boxes limit it.

    Args:
        config: Strengths of the transforms.
        seed: Seed of the training.
        step: Step of the row, from 0.
        row: Number of the row in its step.
        image_id: Image of the row.
    """
    return draw(config, f"augment {seed} {step} {row} {image_id}")


def _even(chance: float, most: float) -> float:
    """Return a number between -most and most, from one between 0 and 1."""
    return (2 * chance - 1) * most
