"""Makes sure that boxes are right in the frame that a tool shows the model.

A convention says which frame its numbers refer to: the whole image, the image padded to a square,
the image that Qwen's processor resized, or a crop. A tool may pad, scale or crop an image in
another way. With ``images: write`` the export holds the images in that frame already, so that no
tool has anything left to change.

====================  =========================================  ==================================
frame of the boxes    tools that show it                         other tools
====================  =========================================  ==================================
whole image           all                                        –
padded to a square    LLaVA (``image_aspect_ratio pad``)         refused without ``images: write``
resized (Qwen)        all; LLaMA-Factory scales the image first  –
centre crop           all, by the model's own processor          –
====================  =========================================  ==================================
"""

from __future__ import annotations

from dataclasses import replace

from imaxray.boxes import BoxConvention, list_conventions
from imaxray.errors import ImaxrayError
from imaxray.export.images import How
from imaxray.export.tools.chat_format import ChatFormat
from imaxray.geometry import Letterbox, ScaledThenResized, SmartResize


def in_frame_of(
    form: ChatFormat, convention: BoxConvention, how: How, *, capped: bool = False
) -> BoxConvention:
    """Return a convention in the frame that a tool shows the model.

    Args:
        form: Format of the tool.
        convention: Convention of the model.
        how: How the export names images.
        capped: Whether the areas of the convention's frame were chosen by the user.

    Raises:
        ImaxrayError: If the tool shows another frame, and the images are not written in it.

    Example:
        >>> from imaxray.boxes import PIXELS
        >>> from imaxray.export.tools.llamafactory import FORMAT
        >>> in_frame_of(FORMAT, PIXELS, "path").geometry.frame(2048, 2500).width
        700
    """
    geometry = convention.geometry
    if isinstance(geometry, Letterbox) and not form.pads and how != "write":
        raise ImaxrayError(
            f"Expected images that are padded to a square with {convention.name}, whose boxes "
            f"refer to such an image, but {form.tool} gives the model the image as it is; add "
            "--images write, or name a convention without padding, such as per-mille."
        )
    if isinstance(geometry, SmartResize) and form.scales:
        first = ScaledThenResized()
        cap = geometry.max_pixels if capped else first.cap
        least = geometry.min_pixels if capped else first.least
        if how == "write":  # nothing is left to scale
            return convention.seen_through(replace(geometry, max_pixels=cap))
        scaled = replace(first, cap=cap, least=least, factor=geometry.factor)
        return convention.seen_through(scaled)
    return convention


def require_convention(form: ChatFormat) -> None:
    """Require that a format has its own form of boxes, where no convention is given for them.

    Raises:
        ImaxrayError: If the format writes boxes as text.
    """
    if not form.own_boxes:
        raise ImaxrayError(
            f"Expected boxes with {form.name}, which writes boxes as text, but no convention is "
            f"given; name that of the model, one of {', '.join(list_conventions())}."
        )
