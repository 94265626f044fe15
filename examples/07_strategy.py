"""7. Strategy: you only have DMAX, so let a model fill in the tasks that its images lack.

Three stages: train on DMAX, let that model annotate the images and keep the answers that can be
trusted (together: pseudo IMAX), train on pseudo IMAX, and finish on the real entries of DMAX.

Continues 03_train.py. Run: python examples/07_strategy.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import run_strategy
from imaxray.strategy import StrategyConfig

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

config = StrategyConfig.model_validate(
    {
        "data": work / "data" / "dmax",
        "model": str(work / "runs" / "dmax" / "model"),  # 03_train.py trained it on DMAX
        "training": {"method": "full", "optimizer": "muon", "learning_rate": 5e-4,
                     "muon_learning_rate": 1e-3, "entries_per_step": 16},
        "stages": [
            {"name": "dmax", "on": "dmax", "start": "base", "steps": 10},
            {"name": "pseudo-imax", "on": "pseudo", "steps": 10},
            {"name": "finish", "on": "dmax", "steps": 10},
        ],
        "annotate": {"max_new_tokens": 24, "limit": 20},
        "filter": {"confidence": False},  # 120 images cannot calibrate thresholds
        "max_new_tokens": 8,
        "resamples": 100,
    }
)  # fmt: skip
outcome = run_strategy(config, work / "strategy", progress=False)
print("\n".join(outcome.summary()))  # with 28 test entries the gains only show the form
