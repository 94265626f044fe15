"""Measures what it does to the Fisher spectrum that entries of one image are drawn together."""

from imaxray.dynamics.grouping.draws import DRAWN, apart, permuted, together, whole_images
from imaxray.dynamics.grouping.effects import EFFECTS, effects_over_seeds, effects_table
from imaxray.dynamics.grouping.formulas import (
    design_effect,
    entropy_change_limit,
    h2_change,
    size_biased,
)
from imaxray.dynamics.grouping.sharing import Sharing, permutation_test, sharing
from imaxray.dynamics.grouping.table import GROUPS, MEAN, SHARING, groups_table, sharing_table

__all__ = [
    "DRAWN",
    "EFFECTS",
    "GROUPS",
    "MEAN",
    "SHARING",
    "Sharing",
    "apart",
    "design_effect",
    "effects_over_seeds",
    "effects_table",
    "entropy_change_limit",
    "groups_table",
    "h2_change",
    "permutation_test",
    "permuted",
    "sharing",
    "sharing_table",
    "size_biased",
    "together",
    "whole_images",
]
