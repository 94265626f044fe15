"""Derives what follows from the entries of a dataset by named rules, without a model."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.derive.config import DeriveConfig
    from imaxray.derive.engine import Derivation, Outcome, derive_facts
    from imaxray.derive.fact import Fact
    from imaxray.derive.measure import MEASURED
    from imaxray.derive.render import DERIVATIONS
    from imaxray.derive.rule import About, Conclusion, DerivationRule, Habits, Known
    from imaxray.derive.run import (
        DerivedDataset,
        DerivedTables,
        derive_dataset,
        derive_tables,
        with_derived,
    )
    from imaxray.derive.table import derivation_rules_table
    from imaxray.derive.verdicts import YIELDS
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "config": ["DeriveConfig"],
            "engine": ["Derivation", "Outcome", "derive_facts"],
            "fact": ["Fact"],
            "measure": ["MEASURED"],
            "render": ["DERIVATIONS"],
            "rule": ["About", "Conclusion", "DerivationRule", "Habits", "Known"],
            "run": [
                "DerivedDataset",
                "DerivedTables",
                "derive_dataset",
                "derive_tables",
                "with_derived",
            ],
            "table": ["derivation_rules_table"],
            "verdicts": ["YIELDS"],
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
