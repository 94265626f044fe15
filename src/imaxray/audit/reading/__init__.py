"""Reads dataset folders, and files of other projects, into the form that the checks read."""

from imaxray.audit.reading.dataset_folder import read_folder
from imaxray.audit.reading.foreign_files import data_files, read_files

__all__ = ["data_files", "read_files", "read_folder"]
