"""Trains models with ``transformers.Trainer``; every optimizer step sees equally many entries."""

from typing import TYPE_CHECKING

from imaxray._lazy import lazily
from imaxray.training.config import Layout, LoraSettings, TrainingConfig
from imaxray.training.recipe import Recipe, load_recipe
from imaxray.training.run_manifest import CurvePoint, RunManifest
from imaxray.training.shares import share_out
from imaxray.training.step_schedule import drawn_shares, origin_shares, schedule, task_shares

if TYPE_CHECKING:
    from imaxray.training.base_model import base_digest, untrained_base
    from imaxray.training.conversation import Conversations
    from imaxray.training.dataset_run import train_dataset
    from imaxray.training.finished_run import FinishedRun, weights_digest, weights_of
    from imaxray.training.images import ImageLoader, LazyImages, Pixels, prepare_images
    from imaxray.training.run import Run, train
    from imaxray.training.step_dataset import (
        Examples,
        ShareDataset,
        StepDataset,
        encode_entries,
        first_item,
    )
    from imaxray.training.token_store import Encoded, TokenStore, encode_split
    from imaxray.training.trainer import EntryTrainer
else:  # torch and transformers
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "base_model": ["base_digest", "untrained_base"],
            "conversation": ["Conversations"],
            "dataset_run": ["train_dataset"],
            "finished_run": ["FinishedRun", "weights_digest", "weights_of"],
            "images": ["ImageLoader", "LazyImages", "Pixels", "prepare_images"],
            "run": ["Run", "train"],
            "step_dataset": [
                "Examples",
                "ShareDataset",
                "StepDataset",
                "encode_entries",
                "first_item",
            ],
            "token_store": ["Encoded", "TokenStore", "encode_split"],
            "trainer": ["EntryTrainer"],
        },
    )

__all__ = [
    "Conversations",
    "CurvePoint",
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
    "RunManifest",
    "ShareDataset",
    "StepDataset",
    "TokenStore",
    "TrainingConfig",
    "base_digest",
    "drawn_shares",
    "encode_entries",
    "encode_split",
    "first_item",
    "load_recipe",
    "origin_shares",
    "prepare_images",
    "schedule",
    "share_out",
    "task_shares",
    "train",
    "train_dataset",
    "untrained_base",
    "weights_digest",
    "weights_of",
]
