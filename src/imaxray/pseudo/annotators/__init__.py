"""External annotators state facts about images without being prompted: tools, not chat models.

A segmentation model, a detector or a report labeller of another package becomes an annotator by the
entry-point group ``imaxray.annotators`` (docs/adding-an-annotator.md).
"""

from imaxray.pseudo.annotators.contract import Annotator, ImageRequest, Stated
from imaxray.pseudo.annotators.registry import find_annotator, list_annotators

__all__ = ["Annotator", "ImageRequest", "Stated", "find_annotator", "list_annotators"]
