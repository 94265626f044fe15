"""Estimates what the trainings of a study need before the first one starts."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.study.estimating.config import EstimateConfig

if TYPE_CHECKING:
    from imaxray.study.estimating.estimate import StudyEstimate, UnitEstimate, estimate_study
    from imaxray.study.estimating.memory import Memory, memory_of
    from imaxray.study.estimating.tokens import (
        PassSize,
        TokenCounts,
        count_tokens,
        tokens_of_means,
    )
else:  # these modules load torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "estimate": ["StudyEstimate", "UnitEstimate", "estimate_study"],
            "memory": ["Memory", "memory_of"],
            "tokens": ["PassSize", "TokenCounts", "count_tokens", "tokens_of_means"],
        },
    )

__all__ = [
    "EstimateConfig",
    "Memory",
    "PassSize",
    "StudyEstimate",
    "TokenCounts",
    "UnitEstimate",
    "count_tokens",
    "estimate_study",
    "memory_of",
    "tokens_of_means",
]
