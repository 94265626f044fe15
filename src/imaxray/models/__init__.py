"""Models: one family a module, and the way each is spoken to."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.models._phantom_config import PhantomConfig

if TYPE_CHECKING:
    from imaxray.models._chat import ChatModel, EncodedEntry
else:  # torch
    __getattr__ = lazily(
        __name__,
        {"ChatModel": "imaxray.models._chat", "EncodedEntry": "imaxray.models._chat"},
    )

__all__ = ["ChatModel", "EncodedEntry", "PhantomConfig"]
