"""Caches images: every radiograph is decoded, verified, turned upright and resized once.

Names are imported at first use, because a process that makes shards needs no code that plans them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.cache.image_store import ImageStore, default_folder
    from imaxray.cache.reader import CachedImage, ImageCache
    from imaxray.cache.writer import CacheReport, cache_images
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "image_store": ["ImageStore", "default_folder"],
            "reader": ["CachedImage", "ImageCache"],
            "writer": ["CacheReport", "cache_images"],
        },
    )

__all__ = [
    "CacheReport",
    "CachedImage",
    "ImageCache",
    "ImageStore",
    "cache_images",
    "default_folder",
]
