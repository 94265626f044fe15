"""Reads findings from the image's own report by the built-in labeller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imaxray.errors import ImaxrayError
from imaxray.labeller import LABELLER_VERSION, image_labels, shown
from imaxray.pseudo.annotators.contract import Annotator, ImageRequest, Stated


class ReportLabeller(Annotator):
    """States the labels that a report states of its whole image; without a report, none."""

    name = "report-labeller"
    version = f"{LABELLER_VERSION} whole image"  # what is read of a report, and how
    tasks = ("findings",)

    def __init__(self, argument: str | None = None) -> None:
        if argument is not None:
            raise ImaxrayError(
                f"Expected {self.name} without an argument, but got {argument}; leave it out."
            )
        super().__init__(argument)

    def annotate(self, images: Sequence[ImageRequest]) -> Iterator[Stated]:
        """See :meth:`Annotator.annotate`."""
        for image in images:
            for label, value in image_labels(shown(image.report or "")).items():
                yield Stated(image.image_id, "label", label, float(value))
