"""Writes the settings of a tool that fit an export, in the form that the tool's own loader reads.

Paths are relative to the export, where the tool is started, so that an export can be moved and the
same dataset gives the same bytes in every folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from imaxray.export.tokens import PER_ROW, PER_TURN, TokenCounter
from imaxray.geometry import Geometry, ScaledThenResized, SmartResize

SETTINGS: Final = "settings.yaml"
"""File of an export with the settings of its tool."""

MODEL: Final = "MODEL"
"""Stands for the model in the settings, which the user names."""

OUTPUT: Final = "output"
"""Folder of the trained model, relative to the export. A later export keeps it."""

MOST_OF_AN_IMAGE: Final = 4096
"""Allowance for the image of a model that is not known, in tokens: PaliGemma's at 896 pixels. The
thirteen tiles of InternVL have 3,328."""


@dataclass(frozen=True)
class Settings:
    """Holds what the settings of a tool depend on.

    Attributes:
        splits: Splits that have rows; ``train`` is one of them.
        model: Name that the convention of boxes was given by, if any.
        tokens: Counted tokens of the rows.
        geometry: Frame that boxes refer to, in the tool; None if the tool writes boxes itself.
        written: Whether the export holds the images in that frame.
        relative: Whether rows name images relative to the export.
    """

    splits: tuple[str, ...]
    model: str | None
    tokens: TokenCounter
    geometry: Geometry | None
    written: bool
    relative: bool

    @property
    def knows_image(self) -> bool:
        """Whether the tokens of an image are known, and counted."""
        return self.tokens.images is not None

    @property
    def cutoff(self) -> int:
        """Number of tokens that no row exceeds, with an allowance for an image of other models."""
        return self.tokens.cutoff() + (0 if self.knows_image else MOST_OF_AN_IMAGE)

    @property
    def areas(self) -> tuple[int, int] | None:
        """Least and largest area of an image in pixels that boxes depend on, if they do."""
        if isinstance(self.geometry, ScaledThenResized):
            return self.geometry.least, self.geometry.cap
        if isinstance(self.geometry, SmartResize):
            return self.geometry.min_pixels, self.geometry.max_pixels
        return None

    def notes(self, start: str, limit: str | None) -> list[str]:
        """Return sentences on how to start the tool, and on what the numbers count.

        Args:
            start: Command that starts the tool in the folder of the export.
            limit: Name of the tool's limit of tokens, if the settings have one.
        """
        counted = self.tokens.as_dict()
        train = counted["splits"]["train"]
        lines = [
            f"Start in this folder: {start}",
            f"Name the model instead of {MODEL}; put your other settings behind it, since the next "
            "export replaces this file.",
            f"Length of a row of train: median {train['median']}, 99th percentile {train['p99']}, "
            f"longest {train['longest']}.",
            f"These numbers count the text in {counted['unit']}, "
            + (
                f"and the tokens of the image (up to {counted['image']})."
                if self.knows_image
                else "without the image, since --boxes names no model whose images are known."
            ),
        ]
        if limit is not None:
            image = "" if self.knows_image else f", {MOST_OF_AN_IMAGE} for the image"
            lines.append(
                f"{limit} cuts no row: it adds {PER_ROW} tokens for the system prompt, {PER_TURN} "
                f"for the marks of each turn{image}, to the longest row of all splits."
            )
        return lines


def write_settings(folder: Path, notes: Sequence[str], values: dict[str, Any]) -> None:
    """Write ``settings.yaml``: sentences as comments, then the values.

    Args:
        folder: Folder that the export is written in.
        notes: How to start the tool, and what to know.
        values: Settings by their names in the tool.
    """
    text = "".join(f"# {line}\n" for line in notes)
    (folder / SETTINGS).write_text(
        text + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000),
        encoding="utf-8",
    )
