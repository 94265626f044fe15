"""Holds what the readers of several releases share: files, images, report sections, collections."""
