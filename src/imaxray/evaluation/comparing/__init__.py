"""Compares arms on one test set, with intervals, p-values and subgroups, and writes the tables."""
