"""Trains models with ``transformers.Trainer``; every optimizer step sees equally many entries."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.training.augmenting.config import AugmentConfig
from imaxray.training.config import Layout, LoraSettings, TrainingConfig
from imaxray.training.recipe import Recipe, load_recipe
from imaxray.training.runs.curves import read_curve, read_evaluations
from imaxray.training.runs.manifest import CurvePoint, RunManifest
from imaxray.training.steps.schedule import (
    drawn_shares,
    origin_shares,
    real_task_shares,
    schedule,
    task_shares,
)
from imaxray.training.steps.shares import share_out

if TYPE_CHECKING:
    from imaxray.training.augmenting.augmentation import Augmentation
    from imaxray.training.augmenting.augmenter import Augmenter, Pictures
    from imaxray.training.augmenting.preview import AugmentedImage, augmented_image
    from imaxray.training.base_model import base_digest, untrained_base
    from imaxray.training.dataset_run import train_dataset
    from imaxray.training.run import Run, train
    from imaxray.training.runs.finished import FinishedRun, weights_digest, weights_of
    from imaxray.training.steps.conversation import Conversations
    from imaxray.training.steps.dataset import (
        Examples,
        ShareDataset,
        StepDataset,
        encode_entries,
        first_item,
    )
    from imaxray.training.steps.images import (
        ImageLoader,
        LazyImages,
        LazyPictures,
        PictureLoader,
        Pixels,
        prepare_images,
    )
    from imaxray.training.steps.token_store import Encoded, TokenStore, encode_split
    from imaxray.training.trainer import EntryTrainer
else:  # torch and transformers
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "augmenting.augmentation": ["Augmentation"],
            "augmenting.augmenter": ["Augmenter", "Pictures"],
            "augmenting.preview": ["AugmentedImage", "augmented_image"],
            "base_model": ["base_digest", "untrained_base"],
            "steps.conversation": ["Conversations"],
            "dataset_run": ["train_dataset"],
            "runs.finished": ["FinishedRun", "weights_digest", "weights_of"],
            "steps.images": [
                "ImageLoader",
                "LazyImages",
                "LazyPictures",
                "PictureLoader",
                "Pixels",
                "prepare_images",
            ],
            "run": ["Run", "train"],
            "steps.dataset": [
                "Examples",
                "ShareDataset",
                "StepDataset",
                "encode_entries",
                "first_item",
            ],
            "steps.token_store": ["Encoded", "TokenStore", "encode_split"],
            "trainer": ["EntryTrainer"],
        },
    )

__all__ = [
    "AugmentConfig",
    "Augmentation",
    "AugmentedImage",
    "Augmenter",
    "Conversations",
    "CurvePoint",
    "Encoded",
    "EntryTrainer",
    "Examples",
    "FinishedRun",
    "ImageLoader",
    "Layout",
    "LazyImages",
    "LazyPictures",
    "LoraSettings",
    "PictureLoader",
    "Pictures",
    "Pixels",
    "Recipe",
    "Run",
    "RunManifest",
    "ShareDataset",
    "StepDataset",
    "TokenStore",
    "TrainingConfig",
    "augmented_image",
    "base_digest",
    "drawn_shares",
    "encode_entries",
    "encode_split",
    "first_item",
    "load_recipe",
    "origin_shares",
    "prepare_images",
    "read_curve",
    "read_evaluations",
    "real_task_shares",
    "schedule",
    "share_out",
    "task_shares",
    "train",
    "train_dataset",
    "untrained_base",
    "weights_digest",
    "weights_of",
]
