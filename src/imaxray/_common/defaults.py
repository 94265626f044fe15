"""Defines the defaults that several modules share; it imports nothing, so the CLI starts fast."""

from __future__ import annotations

from typing import Final

RESAMPLES: Final = 2000
"""Number of bootstrap samples of patients."""

MAX_NEW_TOKENS: Final = 128
"""Maximum number of tokens per answer of a model."""

PROBE_EVERY: Final = 2048
"""Number of entries seen between two measurements of the Fisher spectrum."""

PHANTOM_IMAGES: Final = 2000
"""Number of radiographs of a phantom."""

CACHE_MAX_SIDE: Final = 1024
"""Maximum length of a cached image's longer side in pixels."""

CACHE_SHARD_IMAGES: Final = 64
"""Number of images per file of an image cache."""

CACHE_WORKERS: Final = 2
"""Number of processes that decode the images of a cache."""

AUDIT_WORKERS: Final = 1
"""Number of processes that decode the images of an audit."""

AUDIT_EXAMPLES: Final = 5
"""Maximum number of examples per check in the text of an audit."""

STUDY_EXAMPLES: Final = 12
"""Number of test images in the report of a study on synthetic or open releases."""

MOST_RESAMPLES: Final = 100_000
"""Highest number of bootstrap samples; their counts are in memory, one number per patient."""

MOST_PROCESSES: Final = 1024
"""Highest number of processes or threads."""

MOST_STEPS: Final = 10_000_000
"""Highest number of optimizer steps."""

MOST_ENTRIES_PER_STEP: Final = 1_000_000
"""Highest number of entries of an optimizer step."""

MOST_NEW_TOKENS: Final = 65_536
"""Highest number of tokens of an answer."""

MOST_IMAGES: Final = 10_000_000
"""Highest number of radiographs of a phantom."""

MOST_RATE: Final = 1e30
"""Highest learning rate; a number of 32 bits holds its product with a gradient of common size."""

LARGEST: Final = 2**32 - 1
"""Largest whole number of an option; the generators of random numbers take no larger seed."""
