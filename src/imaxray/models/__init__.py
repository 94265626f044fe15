"""Loads models, adapts each model family, and lists the models that are known by name.

The first name that needs torch imports it; listing the registry does not import torch.
"""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.models.mini_config import MiniConfig
from imaxray.models.phantom_config import PhantomConfig
from imaxray.models.registry import RegistryRow, convention_of, find_row, list_models
from imaxray.models.saved import adapter_base
from imaxray.models.tiny_config import TinyConfig

if TYPE_CHECKING:
    from imaxray.models.chat import BoxCountError, ChatModel, EncodedEntry
    from imaxray.models.load import load_model, require_model
    from imaxray.models.mini import MiniLlavaModel, build_mini
    from imaxray.models.outline import Outline, outline_model
    from imaxray.models.phantom import PhantomModel
    from imaxray.models.tiny import build_tiny
    from imaxray.models.vocabulary import tokenizer_digest
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "chat": ["BoxCountError", "ChatModel", "EncodedEntry"],
            "load": ["load_model", "require_model"],
            "mini": ["MiniLlavaModel", "build_mini"],
            "outline": ["Outline", "outline_model"],
            "phantom": ["PhantomModel"],
            "tiny": ["build_tiny"],
            "vocabulary": ["tokenizer_digest"],
        },
    )

__all__ = [
    "BoxCountError",
    "ChatModel",
    "EncodedEntry",
    "MiniConfig",
    "MiniLlavaModel",
    "Outline",
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
    "outline_model",
    "require_model",
    "tokenizer_digest",
]
