"""Reads the labels that an answer states, in lists, JSON or sentences."""

from imaxray.tasks._shared.reading.labels.answers import read_labels
from imaxray.tasks._shared.reading.labels.items import exact_labels
from imaxray.tasks._shared.reading.labels.normal import is_normal
from imaxray.tasks._shared.reading.labels.statements import NONE, Statements

__all__ = ["NONE", "Statements", "exact_labels", "is_normal", "read_labels"]
