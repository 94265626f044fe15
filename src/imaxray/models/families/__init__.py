"""Adapts each model family: one module a family."""
