"""Metrics, additive so that they bootstrap."""

from imaxray.metrics._base import Metric

__all__ = ["Metric"]
