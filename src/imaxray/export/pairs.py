"""Says of every pair of a format and a box convention whether boxes are right, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imaxray.boxes import CONVENTIONS, OF_MODELS
from imaxray.errors import ImaxrayError
from imaxray.export.formats import OWN_BOXES, chat_format, names, refuse_options
from imaxray.export.frames import in_frame_of, require_convention
from imaxray.export.tools.chat_format import ChatFormat

Verdict = Literal["right", "written", "refused"]


@dataclass(frozen=True)
class BoxPair:
    """States how boxes of one convention can be exported in one format.

    Attributes:
        format: Name of the format.
        convention: Name of the convention; None for boxes in the format's own form.
        models: Models that use the convention.
        verdict: ``right``: images may lie anywhere; ``written``: only with ``images: write``;
            ``refused``: never.
        reason: The sentence of the refusal, with a way that is right; None for ``right``.
    """

    format: str
    convention: str | None
    models: tuple[str, ...]
    verdict: Verdict
    reason: str | None


def list_box_pairs() -> list[BoxPair]:
    """Return every pair of a format and a convention, by the checks that an export itself makes.

    Raises:
        ImaxrayError: If the format of a package cannot be loaded or is not a chat format.

    Example:
        >>> pairs = {(pair.format, pair.convention): pair.verdict for pair in list_box_pairs()}
        >>> [pairs[form, "box-2d"] for form in ("llamafactory", "llava", "fiftyone")]
        ['written', 'right', 'refused']
    """
    return [_pair(form, convention) for convention in (None, *CONVENTIONS) for form in names()]


def _pair(name: str, convention: str | None) -> BoxPair:
    models = tuple(model for model, used in OF_MODELS.items() if used == convention)
    form = None if name in OWN_BOXES else chat_format(name)[1]
    verdict, reason = _judged(name, form, convention)
    return BoxPair(name, convention, models, verdict, reason)


def _judged(
    name: str, form: ChatFormat | None, convention: str | None
) -> tuple[Verdict, str | None]:
    """Return the verdict on a pair, and the sentence of a refusal."""
    try:
        if form is None:
            refuse_options(name, [] if convention is None else ["boxes"])
        elif convention is None:
            require_convention(form)
        else:
            in_frame_of(form, CONVENTIONS[convention], "path")
    except ImaxrayError as error:
        if form is None or convention is None:
            return "refused", str(error)
        return "written", str(error)
    return "right", None
