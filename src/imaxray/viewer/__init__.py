"""Shows datasets, studies, runs and pseudo annotations as a web page on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.viewer.server import serve
    from imaxray.viewer.subject import Subject, open_subject
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "server": ["serve"],
            "subject": ["Subject", "open_subject"],
        },
    )

__all__ = ["Subject", "open_subject", "serve"]
