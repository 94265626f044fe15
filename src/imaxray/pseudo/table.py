"""Columns of pseudo annotations: what a model answered, and everything that tells how it came."""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.schema import Boxes

PSEUDO: Final = pl.Schema(
    {
        "pseudo_id": pl.String,  # the id of the entry that it becomes
        "image_id": pl.String,
        "patient_id": pl.String,
        "task": pl.String,
        "prompt": pl.String,  # ``<box>`` stands for the next box of ``boxes``, as in entries
        "target": pl.String,  # the answer as read, in the task's own wording; null: cannot be read
        "boxes": Boxes,  # of the prompt, then of the target
        "answer": pl.String,  # canonical JSON of the answer as read; null: cannot be read
        "template": pl.String,
        # template: the task's own prompt, anatomy that every chest has, or a question that is asked
        # most; real: a phrase or box that the image has; model: one that the model just gave;
        # similar: a question of a similar image
        "prompt_from": pl.Enum(("template", "real", "model", "similar")),
        "text": pl.String,  # as in predictions: without special tokens
        "raw": pl.String,  # every token that was written
        "tokens": pl.Int32,
        "ended": pl.Boolean,  # by the model itself
        "logprob": pl.Float64,  # mean log-probability of the written tokens, nats
        "agreement": pl.Float64,  # share of the samples that read as the same answer; null: none
        "model": pl.String,
        "checkpoint": pl.String,  # digest of its weights
        "decoding": pl.String,  # JSON: greedy, most tokens, samples, temperature, seed
        "round": pl.Int8,  # of the strategy, 1-based
    }
)
"""One row a prompt. Rows are sorted by ``pseudo_id``."""
