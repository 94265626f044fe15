"""Writes the report of a strategy, and the parts that the report of an ablation shares with it."""

from imaxray.strategy.reporting.yields import filter_parts, rule_parts

__all__ = ["filter_parts", "rule_parts"]
