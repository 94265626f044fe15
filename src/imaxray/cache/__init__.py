"""The image cache: every radiograph decoded, verified, turned upright and resized once.

Names are imported when first used: a process that makes shards needs none of what plans them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imaxray.cache._read import CachedImage, ImageCache
    from imaxray.cache._store import ImageStore, default_folder
    from imaxray.cache._write import CacheReport, cache_images

_HOME = {
    "CacheReport": "_write",
    "CachedImage": "_read",
    "ImageCache": "_read",
    "ImageStore": "_store",
    "cache_images": "_write",
    "default_folder": "_store",
}

__all__ = [
    "CacheReport",
    "CachedImage",
    "ImageCache",
    "ImageStore",
    "cache_images",
    "default_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'imaxray.cache' has no attribute {name!r}")
    return getattr(importlib.import_module(f"imaxray.cache.{_HOME[name]}"), name)
