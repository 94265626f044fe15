"""Loads models, adapts each model family, and lists the models that are known by name.

The first name that needs torch imports it; listing the registry does not import torch.
"""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.models.mini_config import MiniConfig
from imaxray.models.phantom_config import PhantomConfig
from imaxray.models.registry import RegistryRow, convention_of, find_row, list_models
from imaxray.models.tiny_config import TinyConfig

if TYPE_CHECKING:
    from imaxray.models.chat import BoxCountError, ChatModel, EncodedEntry
    from imaxray.models.load import adapter_base, load_model, require_model
    from imaxray.models.mini import MiniLlavaModel, build_mini
    from imaxray.models.phantom import PhantomModel
    from imaxray.models.tiny import build_tiny
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "chat": ["BoxCountError", "ChatModel", "EncodedEntry"],
            "load": ["adapter_base", "load_model", "require_model"],
            "mini": ["MiniLlavaModel", "build_mini"],
            "phantom": ["PhantomModel"],
            "tiny": ["build_tiny"],
        },
    )

__all__ = [
    "BoxCountError",
    "ChatModel",
    "EncodedEntry",
    "MiniConfig",
    "MiniLlavaModel",
    "PhantomConfig",
    "PhantomModel",
    "RegistryRow",
    "TinyConfig",
    "adapter_base",
    "build_mini",
    "build_tiny",
    "convention_of",
    "find_row",
    "list_models",
    "load_model",
    "require_model",
]
