"""Joins releases to a catalog, selects IMAX and DMAX from it and writes dataset folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.curation.catalog import CurationConfig, build_catalog
    from imaxray.curation.dataset import Dataset, open_dataset, write_dataset
    from imaxray.curation.entries import EntriesConfig
    from imaxray.curation.exclusions import ExcludeConfig, Exclusions, read_exclusions
    from imaxray.curation.forecast import Forecast, forecast_use
    from imaxray.curation.joining.conflicts import ConflictsConfig
    from imaxray.curation.joining.duplicates import DuplicatesConfig
    from imaxray.curation.joining.readers import ReadersConfig
    from imaxray.curation.joining.splits import SplitConfig
    from imaxray.curation.selecting.densities import Density, density
    from imaxray.curation.selecting.dmax import DmaxConfig, MatchReport, match_dmax
    from imaxray.curation.selecting.imax import ImaxConfig, SelectionReport, select_imax
    from imaxray.curation.tables import Tables
    from imaxray.curation.text.cleaning import CleaningConfig
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "catalog": ["CurationConfig", "build_catalog"],
            "dataset": ["Dataset", "open_dataset", "write_dataset"],
            "entries": ["EntriesConfig"],
            "exclusions": ["ExcludeConfig", "Exclusions", "read_exclusions"],
            "forecast": ["Forecast", "forecast_use"],
            "joining.conflicts": ["ConflictsConfig"],
            "joining.duplicates": ["DuplicatesConfig"],
            "joining.readers": ["ReadersConfig"],
            "joining.splits": ["SplitConfig"],
            "selecting.densities": ["Density", "density"],
            "selecting.dmax": ["DmaxConfig", "MatchReport", "match_dmax"],
            "selecting.imax": ["ImaxConfig", "SelectionReport", "select_imax"],
            "tables": ["Tables"],
            "text.cleaning": ["CleaningConfig"],
        },
    )

__all__ = [
    "CleaningConfig",
    "ConflictsConfig",
    "CurationConfig",
    "Dataset",
    "Density",
    "DmaxConfig",
    "DuplicatesConfig",
    "EntriesConfig",
    "ExcludeConfig",
    "Exclusions",
    "Forecast",
    "ImaxConfig",
    "MatchReport",
    "ReadersConfig",
    "SelectionReport",
    "SplitConfig",
    "Tables",
    "build_catalog",
    "density",
    "forecast_use",
    "match_dmax",
    "open_dataset",
    "read_exclusions",
    "select_imax",
    "write_dataset",
]
