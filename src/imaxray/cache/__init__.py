"""The image cache: every radiograph decoded, verified, turned upright and resized once."""

from imaxray.cache._read import CachedImage, ImageCache
from imaxray.cache._store import ImageStore, default_folder
from imaxray.cache._write import CacheReport, cache_images

__all__ = [
    "CacheReport",
    "CachedImage",
    "ImageCache",
    "ImageStore",
    "cache_images",
    "default_folder",
]
