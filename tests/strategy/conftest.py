"""Makes a small DMAX folder, its catalog, and a strategy that takes seconds."""

import pytest

from imaxray.curation import (
    DmaxConfig,
    ImaxConfig,
    build_catalog,
    match_dmax,
    open_dataset,
    select_imax,
    write_dataset,
)
from imaxray.strategy import StrategyConfig

SHAPE = {"image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
         "vocabulary": 400}  # fmt: skip


@pytest.fixture(scope="session")
def folders(phantom_releases, tmp_path_factory):
    """catalog/ and dmax/."""
    out = tmp_path_factory.mktemp("strategy-data")
    catalog = build_catalog(phantom_releases, verify=False)
    imax, _ = select_imax(
        catalog,
        ImaxConfig(min_tasks=6, max_entries_per_task=1, target_entries=90, eval_entries_per_task=4),
    )
    dmax, _ = match_dmax(catalog, imax, DmaxConfig())
    write_dataset(catalog, out / "catalog", config={}, seed=0)
    write_dataset(dmax, out / "dmax", config={}, seed=0, role="dmax")
    return out


@pytest.fixture(scope="session")
def dmax(folders):
    return open_dataset(folders / "dmax")


@pytest.fixture(scope="session")
def make_strategy(folders):
    """A strategy on the phantom model; keywords change it."""

    def make(**changes):
        given = {
            "data": folders / "dmax",
            "truth": folders / "catalog",
            "phantom": SHAPE,
            "training": {
                "method": "full", "optimizer": "muon", "learning_rate": 4e-3,
                "muon_learning_rate": 8e-3, "entries_per_step": 16, "log_every": 2,
                "save_every": 2, "betas": [0.9, 0.98], "steps": 4,
            },
            "annotate": {"max_new_tokens": 24, "rec_per_image": 1, "reg_per_image": 1,
                         "vqa_per_image": 1, "limit": 20},
            "filter": {"confidence": False, "consistency": True},
            "max_new_tokens": 8,
            "resamples": 100,
        }  # fmt: skip
        return StrategyConfig.model_validate({**given, **changes})

    return make
