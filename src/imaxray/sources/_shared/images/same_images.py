"""States which releases hold the same radiographs under different ids.

Releases of one ``collection`` (MIMIC-CXR and the annotations of its images, CheXpert and CheXpert
Plus, …) name an image alike, so a build joins them by id. This module lists the other releases:
only a comparison of the pixels can find their common images (``curation.duplicates``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class SameImages:
    """Two releases that share radiographs under different ids.

    Attributes:
        first: Name of one source.
        second: Name of the other source.
        fact: Sentence that says which images they share, and where this is documented.
    """

    first: str
    second: str
    fact: str


SAME_IMAGES: Final = (
    SameImages(
        "nih-chestxray14",
        "rsna-pneumonia",
        "every radiograph of RSNA Pneumonia is one of NIH ChestX-ray14 (Shih et al. 2019)",
    ),
    SameImages(
        "nih-chestxray14",
        "slake",
        "the chest radiographs of SLAKE come from NIH ChestX-ray8 (Liu et al. 2021)",
    ),
    SameImages(
        "rsna-pneumonia",
        "slake",
        "the radiographs of both come from the NIH collection, so some may be the same",
    ),
)
"""All pairs of releases that share radiographs under different ids."""


def same_images(sources: Iterable[str]) -> list[SameImages]:
    """Return the pairs of releases that share radiographs under different ids.

    Args:
        sources: Names of sources.

    Example:
        >>> [(pair.first, pair.second) for pair in same_images(["slake", "nih-chestxray14"])]
        [('nih-chestxray14', 'slake')]
        >>> same_images(["mimic-cxr", "mimic-cxr-jpg"])
        []
    """
    given = set(sources)
    return [pair for pair in SAME_IMAGES if {pair.first, pair.second} <= given]


def others_with_same_images(source: str) -> list[str]:
    """Return a sentence for each release that shares radiographs with a release, by its source.

    Example:
        >>> others_with_same_images("jsrt")
        []
    """
    pairs = [pair for pair in SAME_IMAGES if source in (pair.first, pair.second)]
    return [
        f"Images: {pair.fact}. If you build from {pair.first} and {pair.second}, set "
        "curation.duplicates.effect to report or drop, because their ids differ."
        for pair in pairs
    ]
