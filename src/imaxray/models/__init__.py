"""Models: how each family is spoken to, and which ones are known by name.

torch is imported by the first name that needs it; listing the registry needs none.
"""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.models._phantom_config import PhantomConfig
from imaxray.models._registry import RegistryRow, find_row, list_models

if TYPE_CHECKING:
    from imaxray.models._chat import ChatModel, EncodedEntry
    from imaxray.models._load import load_model
    from imaxray.models.phantom import PhantomModel
    from imaxray.models.tiny import build_tiny
else:
    __getattr__ = lazily(
        __name__,
        {
            "ChatModel": "imaxray.models._chat",
            "EncodedEntry": "imaxray.models._chat",
            "PhantomModel": "imaxray.models.phantom",
            "build_tiny": "imaxray.models.tiny",
            "load_model": "imaxray.models._load",
        },
    )

__all__ = [
    "ChatModel",
    "EncodedEntry",
    "PhantomConfig",
    "PhantomModel",
    "RegistryRow",
    "build_tiny",
    "find_row",
    "list_models",
    "load_model",
]
