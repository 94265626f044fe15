"""Removes what stands around an answer: marks, wrapping and sentences."""
