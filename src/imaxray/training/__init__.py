"""Training: one recipe on ``transformers.Trainer``, all layouts, equal entries a step."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.training._config import Layout, LoraSettings, TrainingConfig
from imaxray.training._recipe import Recipe, load_recipe
from imaxray.training._schedule import origin_shares, schedule, task_shares
from imaxray.training._share import share_out

if TYPE_CHECKING:
    from imaxray.training._conversation import Conversations
    from imaxray.training._data import (
        Examples,
        ShareDataset,
        StepDataset,
        encode_entries,
        first_item,
    )
    from imaxray.training._dataset import train_dataset
    from imaxray.training._finished import FinishedRun, weights_digest, weights_of
    from imaxray.training._images import ImageLoader, LazyImages, Pixels, prepare_images
    from imaxray.training._run import Run, train
    from imaxray.training._throughput import Throughput, measure_throughput
    from imaxray.training._tokens import Encoded, TokenStore, encode_split
    from imaxray.training._trainer import EntryTrainer
else:  # torch and transformers
    _HOMES = {
        "_conversation": ("Conversations",),
        "_data": (
            "Examples",
            "ShareDataset",
            "StepDataset",
            "encode_entries",
            "first_item",
        ),
        "_dataset": ("train_dataset",),
        "_finished": ("FinishedRun", "weights_digest", "weights_of"),
        "_images": (
            "ImageLoader",
            "LazyImages",
            "Pixels",
            "prepare_images",
        ),
        "_run": (
            "Run",
            "train",
        ),
        "_throughput": (
            "Throughput",
            "measure_throughput",
        ),
        "_tokens": (
            "Encoded",
            "TokenStore",
            "encode_split",
        ),
        "_trainer": ("EntryTrainer",),
    }
    __getattr__ = lazily(
        __name__,
        {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names},
    )

__all__ = [
    "Conversations",
    "Encoded",
    "EntryTrainer",
    "Examples",
    "FinishedRun",
    "ImageLoader",
    "Layout",
    "LazyImages",
    "LoraSettings",
    "Pixels",
    "Recipe",
    "Run",
    "ShareDataset",
    "StepDataset",
    "Throughput",
    "TokenStore",
    "TrainingConfig",
    "encode_entries",
    "encode_split",
    "first_item",
    "load_recipe",
    "measure_throughput",
    "origin_shares",
    "prepare_images",
    "schedule",
    "share_out",
    "task_shares",
    "train",
    "train_dataset",
    "weights_digest",
    "weights_of",
]
