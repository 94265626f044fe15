"""Runs the strategy for DMAX: derive, train, let the model answer the rest, train on it."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.pseudo import FilterConfig
from imaxray.strategy.config import (
    AnnotateSettings,
    StageConfig,
    StrategyConfig,
    load_strategy,
)

if TYPE_CHECKING:
    from imaxray.strategy.choice import Choice, choose
    from imaxray.strategy.executor import WorkExecutor
    from imaxray.strategy.records import (
        AnnotateResult,
        DeriveResult,
        FilterResult,
        TrainResult,
        WorkResult,
        compared,
    )
    from imaxray.strategy.reporting.write import write_strategy_report
    from imaxray.strategy.run import StrategyOutcome, run_strategy
    from imaxray.strategy.work import (
        AnnotateWork,
        DeriveWork,
        FilterWork,
        TrainWork,
        Work,
        needed_work,
        plan,
    )
else:  # these modules train, so importing them loads torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "choice": ["Choice", "choose"],
            "executor": ["WorkExecutor"],
            "records": [
                "compared",
                "AnnotateResult",
                "DeriveResult",
                "FilterResult",
                "TrainResult",
                "WorkResult",
            ],
            "reporting.write": ["write_strategy_report"],
            "run": ["StrategyOutcome", "run_strategy"],
            "work": [
                "AnnotateWork",
                "DeriveWork",
                "FilterWork",
                "TrainWork",
                "Work",
                "needed_work",
                "plan",
            ],
        },
    )

__all__ = [
    "AnnotateResult",
    "AnnotateSettings",
    "AnnotateWork",
    "Choice",
    "DeriveResult",
    "DeriveWork",
    "FilterConfig",
    "FilterResult",
    "FilterWork",
    "StageConfig",
    "StrategyConfig",
    "StrategyOutcome",
    "TrainResult",
    "TrainWork",
    "Work",
    "WorkExecutor",
    "WorkResult",
    "choose",
    "compared",
    "load_strategy",
    "needed_work",
    "plan",
    "run_strategy",
    "write_strategy_report",
]
