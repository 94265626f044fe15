"""Holds the steps of cleaning report text that need more than one expression."""
