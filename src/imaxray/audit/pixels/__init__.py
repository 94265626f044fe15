"""Decodes the images of an audit, and finds copies of an image, also turned or cropped ones."""

from imaxray.audit.pixels.cropped_copies import MOST_IMAGES
from imaxray.audit.pixels.embedded import embedded_file, parquet_records
from imaxray.audit.pixels.pixel_digests import Copies, PixelDigests

__all__ = ["MOST_IMAGES", "Copies", "PixelDigests", "embedded_file", "parquet_records"]
