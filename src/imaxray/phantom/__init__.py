"""Writes synthetic chest radiographs with exact ground truth in the formats of real releases."""

from imaxray.phantom.tables import write_phantom_tables
from imaxray.phantom.write import default_workers, write_phantom

__all__ = ["default_workers", "write_phantom", "write_phantom_tables"]
