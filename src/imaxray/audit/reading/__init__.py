"""Reads dataset folders, and files of other projects, into the form that the checks read."""

from imaxray.audit.reading.dataset_folder import is_croissant, read_croissant, read_folder
from imaxray.audit.reading.foreign_files import read_files
from imaxray.audit.reading.record_files import data_files

__all__ = ["data_files", "is_croissant", "read_croissant", "read_files", "read_folder"]
