"""Prints results as tables and sentences on the terminal."""
