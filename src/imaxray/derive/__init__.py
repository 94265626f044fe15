"""Derives what follows from the entries of a dataset by named rules, without a model."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.derive.applying.engine import Derivation, Outcome, derive_facts
    from imaxray.derive.applying.measure import MEASURED
    from imaxray.derive.config import DeriveConfig
    from imaxray.derive.entries.render import DERIVATIONS
    from imaxray.derive.entries.verdicts import YIELDS
    from imaxray.derive.facts.fact import Fact
    from imaxray.derive.rules.rule import About, Conclusion, DerivationRule, Habits, Known
    from imaxray.derive.rules.table import derivation_rules_table
    from imaxray.derive.run import (
        DerivedDataset,
        DerivedTables,
        derive_dataset,
        derive_tables,
        with_derived,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "config": ["DeriveConfig"],
            "applying.engine": ["Derivation", "Outcome", "derive_facts"],
            "facts.fact": ["Fact"],
            "applying.measure": ["MEASURED"],
            "entries.render": ["DERIVATIONS"],
            "rules.rule": ["About", "Conclusion", "DerivationRule", "Habits", "Known"],
            "run": [
                "DerivedDataset",
                "DerivedTables",
                "derive_dataset",
                "derive_tables",
                "with_derived",
            ],
            "rules.table": ["derivation_rules_table"],
            "entries.verdicts": ["YIELDS"],
        },
    )

__all__ = [
    "DERIVATIONS",
    "MEASURED",
    "YIELDS",
    "About",
    "Conclusion",
    "Derivation",
    "DerivationRule",
    "DeriveConfig",
    "DerivedDataset",
    "DerivedTables",
    "Fact",
    "Habits",
    "Known",
    "Outcome",
    "derivation_rules_table",
    "derive_dataset",
    "derive_facts",
    "derive_tables",
    "with_derived",
]
