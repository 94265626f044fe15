"""Training: one recipe on ``transformers.Trainer``, both layouts, equal entries a step."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.training._config import Layout, TrainingConfig
from imaxray.training._schedule import schedule

if TYPE_CHECKING:
    from imaxray.training._data import (
        Pixels,
        StepDataset,
        encode_entries,
        first_item,
        prepare_images,
    )
    from imaxray.training._run import Run, train
    from imaxray.training._throughput import Throughput, measure_throughput
else:  # torch and transformers
    _DATA = "imaxray.training._data"
    __getattr__ = lazily(
        __name__,
        {
            "Pixels": _DATA,
            "StepDataset": _DATA,
            "encode_entries": _DATA,
            "first_item": _DATA,
            "prepare_images": _DATA,
            "Run": "imaxray.training._run",
            "train": "imaxray.training._run",
            "Throughput": "imaxray.training._throughput",
            "measure_throughput": "imaxray.training._throughput",
        },
    )

__all__ = [
    "Layout",
    "Pixels",
    "Run",
    "StepDataset",
    "Throughput",
    "TrainingConfig",
    "encode_entries",
    "first_item",
    "measure_throughput",
    "prepare_images",
    "schedule",
    "train",
]
