"""Models: how each family is spoken to, and which ones are known by name.

torch is imported by the first name that needs it; listing the registry needs none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from imaxray.models._registry import RegistryRow, find_row, list_models

if TYPE_CHECKING:
    from imaxray.models._chat import ChatModel, EncodedEntry
    from imaxray.models._load import load_model
    from imaxray.models.phantom import PhantomConfig, PhantomModel
    from imaxray.models.tiny import build_tiny

_HOME = {
    "ChatModel": "imaxray.models._chat",
    "EncodedEntry": "imaxray.models._chat",
    "PhantomConfig": "imaxray.models.phantom",
    "PhantomModel": "imaxray.models.phantom",
    "build_tiny": "imaxray.models.tiny",
    "load_model": "imaxray.models._load",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'imaxray.models' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
