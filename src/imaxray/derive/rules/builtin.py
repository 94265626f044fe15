"""Lists the built-in rules in the order in which tables show them."""

from __future__ import annotations

from typing import Final

from imaxray.derive.rules.answers import RULES as ANSWERS
from imaxray.derive.rules.labels import RULES as LABELS
from imaxray.derive.rules.numbers import RULES as NUMBERS
from imaxray.derive.rules.others import RULES as OTHERS
from imaxray.derive.rules.regions import RULES as REGIONS
from imaxray.derive.rules.reports import RULES as REPORTS
from imaxray.derive.rules.rule import DerivationRule

BUILT_IN: Final[tuple[DerivationRule, ...]] = (
    *REPORTS,
    *LABELS,
    *ANSWERS,
    *NUMBERS,
    *REGIONS,
    *OTHERS,
)
"""All built-in rules."""
