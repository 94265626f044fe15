"""Holds what several releases about the same images share: ids, labels and parsers."""
