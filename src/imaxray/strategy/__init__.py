"""The three-stage strategy: train on DMAX, fill the gaps, train on pseudo IMAX, finish on DMAX."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.pseudo import FilterConfig
from imaxray.strategy.config import (
    AnnotateSettings,
    StageConfig,
    StrategyConfig,
    load_strategy,
)

if TYPE_CHECKING:
    from imaxray.strategy.base_model import base_digest, phantom_base
    from imaxray.strategy.choice import Choice, choose
    from imaxray.strategy.executor import Done, Workshop
    from imaxray.strategy.run import StrategyOutcome, run_strategy
    from imaxray.strategy.work import AnnotateWork, FilterWork, TrainWork, Work, plan
else:  # these train, and so load torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "base_model": ["base_digest", "phantom_base"],
            "choice": ["Choice", "choose"],
            "executor": ["Done", "Workshop"],
            "run": ["StrategyOutcome", "run_strategy"],
            "work": ["AnnotateWork", "FilterWork", "TrainWork", "Work", "plan"],
        },
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
