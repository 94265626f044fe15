"""Training: one recipe on ``transformers.Trainer``, both layouts, equal entries a step."""

from imaxray.training._config import Layout, TrainingConfig
from imaxray.training._data import Pixels, StepDataset, encode_entries, first_item, prepare_images
from imaxray.training._run import Run, train
from imaxray.training._schedule import schedule
from imaxray.training._throughput import Throughput, measure_throughput

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
