"""Maps an original image to the frame that a model sees and that its box numbers refer to.

A processor resizes, pads or tiles an image before the model sees it. Each geometry computes, for
an original of a given size, the size of the resulting frame and the position of the original in
it. This is arithmetic on sizes: no image is opened, and nothing is inferred from coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Protocol

Numbers = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """Places one original in its frame: ``frame = original * scale + offset`` on both axes.

    Attributes:
        width: Width of the frame in frame pixels.
        height: Height of the frame in frame pixels.
        scale: Frame pixels per original pixel, (x, y).
        offset: Position of the original's top left corner in frame pixels, (x, y).
    """

    width: float
    height: float
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def enter(self, box: Numbers) -> Numbers:
        """Convert a box from original pixels to frame pixels.

        Example:
            >>> Letterbox().frame(100, 200).enter((0, 0, 100, 200))
            (50.0, 0.0, 150.0, 200.0)
        """
        (sx, sy), (ox, oy), (x1, y1, x2, y2) = self.scale, self.offset, box
        return (x1 * sx + ox, y1 * sy + oy, x2 * sx + ox, y2 * sy + oy)

    def leave(self, box: Numbers) -> Numbers:
        """Convert a box from frame pixels to original pixels.

        Example:
            >>> Letterbox().frame(100, 200).leave((50, 0, 150, 200))
            (0.0, 0.0, 100.0, 200.0)
        """
        (sx, sy), (ox, oy), (x1, y1, x2, y2) = self.scale, self.offset, box
        return ((x1 - ox) / sx, (y1 - oy) / sy, (x2 - ox) / sx, (y2 - oy) / sy)


class Geometry(Protocol):
    """Computes the frame of an original image."""

    kind: ClassVar[str]

    def frame(self, width: float, height: float) -> Frame:
        """Return the frame of an original of ``width`` × ``height`` pixels."""
        ...


@dataclass(frozen=True)
class Whole:
    """Uses the image itself as the frame, at any resolution.

    This is right for numbers relative to the image's sides, where the processor squashes the image
    to a fixed size or cuts it into tiles that together cover exactly the image.
    """

    kind: ClassVar[str] = "whole"

    def frame(self, width: float, height: float) -> Frame:
        """See :class:`Geometry`."""
        return Frame(width, height)


@dataclass(frozen=True)
class SmartResize:
    """Rounds both sides to multiples of ``factor`` (Qwen2-VL, Qwen2.5-VL, Qwen3-VL).

    This is ``smart_resize`` of Qwen's own processor: the aspect ratio is kept up to that rounding,
    and the area lies between ``min_pixels`` and ``max_pixels``.

    Attributes:
        factor: Patch size times merge size: 28 for Qwen2.5-VL, 32 for Qwen3-VL.
        min_pixels: Smallest area of the resized image, in pixels.
        max_pixels: Largest area of the resized image, in pixels.
    """

    factor: int = 28
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 1280
    kind: ClassVar[str] = "smart-resize"

    def resized(self, width: float, height: float) -> tuple[int, int]:
        """Return width and height after the resize.

        Raises:
            ValueError: One side is more than 200 times the other, which the processor refuses.

        Example:
            >>> SmartResize().resized(2544, 3056)
            (896, 1092)
        """
        if max(width, height) > 200 * min(width, height):
            raise ValueError(f"an image of {width:g} × {height:g} is too narrow to be resized")
        factor = self.factor
        high, wide = round(height / factor) * factor, round(width / factor) * factor
        if high * wide > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            high = max(factor, math.floor(height / shrink / factor) * factor)
            wide = max(factor, math.floor(width / shrink / factor) * factor)
        elif high * wide < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            high = math.ceil(height * grow / factor) * factor
            wide = math.ceil(width * grow / factor) * factor
        return wide, high

    def frame(self, width: float, height: float) -> Frame:
        """See :class:`Geometry`."""
        wide, high = self.resized(width, height)
        return Frame(wide, high, (wide / width, high / height))


@dataclass(frozen=True)
class Letterbox:
    """Centres the image on a square of its longer side; the rest of the square is padding.

    If the padding is odd, the extra row or column is at the bottom or right, as in LLaVA's
    ``expand2square`` and in MedGemma's localisation notebook.
    """

    kind: ClassVar[str] = "letterbox"

    def frame(self, width: float, height: float) -> Frame:
        """See :class:`Geometry`.

        Example:
            >>> Letterbox().frame(100, 200)
            Frame(width=200, height=200, scale=(1.0, 1.0), offset=(50.0, 0.0))
        """
        side = max(width, height)
        left, top = (side - width) // 2, (side - height) // 2
        return Frame(side, side, (1.0, 1.0), (float(left), float(top)))


@dataclass(frozen=True)
class ScaledThenResized:
    """Scales an image to an area first, as LLaMA-Factory does, and then as Qwen's processor.

    The tool cuts the scaled sides to whole pixels before the processor rounds them, so that most
    sizes differ from those of the processor alone. Sides below 28 pixels are raised to 28.

    Attributes:
        cap: Largest area before the processor, ``image_max_pixels`` of LLaMA-Factory.
        least: Smallest area before the processor, ``image_min_pixels``.
        factor: As in :class:`SmartResize`.
        min_pixels: As in :class:`SmartResize`.
        max_pixels: As in :class:`SmartResize`; that of the released checkpoints.
    """

    cap: int = 768 * 768
    least: int = 32 * 32
    factor: int = 28
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 16384
    kind: ClassVar[str] = "scaled-then-resized"

    def scaled(self, width: float, height: float) -> tuple[int, int]:
        """Return width and height after the first step.

        Example:
            >>> ScaledThenResized().scaled(2048, 2500)
            (695, 848)
        """
        wide, high = int(width), int(height)
        for area, over in ((self.cap, True), (self.least, False)):
            if (wide * high > area) is over and wide * high != area:
                factor = math.sqrt(area / (wide * high))
                wide, high = int(wide * factor), int(high * factor)
        return max(wide, 28), max(high, 28)

    def resized(self, width: float, height: float) -> tuple[int, int]:
        """Return width and height after both steps.

        Raises:
            ValueError: One side is more than 200 times the other.

        Example:
            >>> ScaledThenResized().resized(2048, 2500)
            (700, 840)
        """
        after = SmartResize(self.factor, self.min_pixels, self.max_pixels)
        return after.resized(*self.scaled(width, height))

    def frame(self, width: float, height: float) -> Frame:
        """See :class:`Geometry`."""
        wide, high = self.resized(width, height)
        return Frame(wide, high, (wide / width, high / height))


@dataclass(frozen=True)
class CentreCrop:
    """Cuts the image to the square of its shorter side in the middle (MAIRA-2).

    What lies outside the square has no place in the frame.
    """

    kind: ClassVar[str] = "centre-crop"

    def frame(self, width: float, height: float) -> Frame:
        """See :class:`Geometry`.

        Example:
            >>> CentreCrop().frame(100, 201)
            Frame(width=100, height=100, scale=(1.0, 1.0), offset=(0.0, -50.0))
        """
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return Frame(side, side, (1.0, 1.0), (0.0 - left, 0.0 - top))


@dataclass(frozen=True)
class TileCanvas:
    """Stretches the image over the grid of square tiles with the nearest aspect ratio (InternVL).

    Attributes:
        tile: Side of a tile in pixels.
        min_tiles: Minimum number of tiles.
        max_tiles: Maximum number of tiles, without the thumbnail.
    """

    tile: int = 448
    min_tiles: int = 1
    max_tiles: int = 12
    kind: ClassVar[str] = "tile-canvas"

    def grid(self, width: float, height: float) -> tuple[int, int]:
        """Return columns and rows of the grid with the nearest aspect ratio.

        Of several equally near grids, the largest grid that the image fills to more than half is
        taken, or the smallest grid if the image fills none of the others to more than half.

        Example:
            >>> TileCanvas().grid(2544, 3056)
            (3, 4)
        """
        most = self.max_tiles
        grids = sorted(
            (
                (columns, rows)
                for columns in range(1, most + 1)
                for rows in range(1, most + 1)
                if self.min_tiles <= columns * rows <= most
            ),
            key=lambda grid: grid[0] * grid[1],
        )
        ratio, nearest, best = width / height, math.inf, (1, 1)
        for columns, rows in grids:
            distance = abs(ratio - columns / rows)
            fills = width * height > 0.5 * self.tile * self.tile * columns * rows
            if distance < nearest or (distance == nearest and fills):
                nearest, best = distance, (columns, rows)
        return best

    def tiles(self, width: float, height: float) -> int:
        """Return the number of tiles: those of the grid, and a thumbnail if there are several.

        Example:
            >>> TileCanvas().tiles(2544, 3056)
            13
        """
        columns, rows = self.grid(width, height)
        return columns * rows + (columns * rows > 1)

    def frame(self, width: float, height: float) -> Frame:
        """See :class:`Geometry`."""
        columns, rows = self.grid(width, height)
        wide, high = columns * self.tile, rows * self.tile
        return Frame(wide, high, (wide / width, high / height))


WHOLE: Final = Whole()

_KINDS: Final[Mapping[str, type[Any]]] = {
    geometry.kind: geometry
    for geometry in (Whole, SmartResize, ScaledThenResized, Letterbox, CentreCrop, TileCanvas)
}


def geometry_as_dict(geometry: Geometry) -> dict[str, Any]:
    """Return a geometry as plain values, for manifests."""
    return {"kind": geometry.kind, **asdict(geometry)}  # type: ignore[call-overload]


def geometry_from_dict(values: Mapping[str, Any]) -> Geometry:
    """Read the values of :func:`geometry_as_dict` back."""
    rest = dict(values)
    made: Geometry = _KINDS[rest.pop("kind")](**rest)
    return made
