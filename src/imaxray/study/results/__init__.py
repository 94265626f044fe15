"""Turns the answers of a study into its comparison, its tables, its sentences and its report."""
