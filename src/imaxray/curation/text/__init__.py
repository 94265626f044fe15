"""Cleans report text in named steps; each step that needs more than one expression is a module."""
