"""Holds what the readers of several releases share: tables, archives, image files, ids, parsers."""
