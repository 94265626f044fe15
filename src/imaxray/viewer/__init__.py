"""Shows datasets, studies, runs and pseudo annotations as a web page on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.viewer.opening.subject import Subject, open_subject
    from imaxray.viewer.server import serve
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "server": ["serve"],
            "opening.subject": ["Subject", "open_subject"],
        },
    )

__all__ = ["Subject", "open_subject", "serve"]
