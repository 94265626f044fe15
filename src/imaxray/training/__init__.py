"""Training: one recipe on ``transformers.Trainer``, both layouts, equal entries a step."""

from imaxray.training._config import Layout, TrainingConfig
from imaxray.training._data import Pixels, StepDataset, encode_entries, first_item, prepare_images
from imaxray.training._run import Run, train
from imaxray.training._schedule import schedule

__all__ = [
    "Layout",
    "Pixels",
    "Run",
    "StepDataset",
    "TrainingConfig",
    "encode_entries",
    "first_item",
    "prepare_images",
    "schedule",
    "train",
]
