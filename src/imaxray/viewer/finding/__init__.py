"""Finds images: keeps a summary of their annotations, indexes it, and filters and sorts it."""
