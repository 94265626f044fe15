"""Reads the files of a release: tables, archives, JSON and the folders that hold them."""
