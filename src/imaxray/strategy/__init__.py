"""The three-stage strategy: train on DMAX, fill the gaps, train on pseudo IMAX, finish on DMAX."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.strategy.config import (
    AnnotateSettings,
    FilterConfig,
    StageConfig,
    StrategyConfig,
    load_strategy,
)

if TYPE_CHECKING:
    from imaxray.strategy._choose import Choice, choose
    from imaxray.strategy._init import base_digest, phantom_base
    from imaxray.strategy._plan import AnnotateWork, FilterWork, TrainWork, Work, plan
    from imaxray.strategy._workshop import Done, Workshop
    from imaxray.strategy.run import StrategyOutcome, run_strategy
else:  # these train, and so load torch
    _HOMES = {
        "_choose": ("Choice", "choose"),
        "_init": ("base_digest", "phantom_base"),
        "_plan": ("AnnotateWork", "FilterWork", "TrainWork", "Work", "plan"),
        "run": ("StrategyOutcome", "run_strategy"),
        "_workshop": ("Done", "Workshop"),
    }
    __getattr__ = lazily(
        __name__,
        {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names},
    )

__all__ = [
    "AnnotateSettings",
    "AnnotateWork",
    "Choice",
    "Done",
    "FilterConfig",
    "FilterWork",
    "StageConfig",
    "StrategyConfig",
    "StrategyOutcome",
    "TrainWork",
    "Work",
    "Workshop",
    "base_digest",
    "choose",
    "load_strategy",
    "phantom_base",
    "plan",
    "run_strategy",
]
