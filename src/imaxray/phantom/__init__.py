"""Synthetic chest radiographs with exact ground truth, written out as real release formats."""

from imaxray.phantom.tables import write_phantom_tables
from imaxray.phantom.write import default_workers, write_phantom

__all__ = ["default_workers", "write_phantom", "write_phantom_tables"]
