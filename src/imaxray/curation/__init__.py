"""Curation: the catalog joined per image, IMAX and DMAX selected from it, the dataset folder."""

from imaxray.curation.catalog import build_catalog
from imaxray.curation.dataset import Dataset, open_dataset, write_dataset
from imaxray.curation.density import Density, density
from imaxray.curation.dmax import DmaxConfig, MatchReport, match_dmax
from imaxray.curation.imax import ImaxConfig, select_imax
from imaxray.curation.splits import SplitConfig
from imaxray.curation.tables import Tables

__all__ = [
    "Dataset",
    "Density",
    "DmaxConfig",
    "ImaxConfig",
    "MatchReport",
    "SplitConfig",
    "Tables",
    "build_catalog",
    "density",
    "match_dmax",
    "open_dataset",
    "select_imax",
    "write_dataset",
]
