"""Packing stage."""
