"""Defines the columns of pseudo annotations: the answers of a model and how they were obtained."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.pseudo.answer_shapes import require_answers
from imaxray.schema import Boxes

ORIGINS: Final = ("template", "real", "model", "similar", "annotator")
"""Origins of prompts."""

PSEUDO: Final = pl.Schema(
    {
        "pseudo_id": pl.String,  # the id of the entry that it becomes
        "image_id": pl.String,
        "patient_id": pl.String,
        "task": pl.String,
        "prompt": pl.String,  # ``<box>`` stands for the next box of ``boxes``, as in entries
        "target": pl.String,  # the parsed answer in the task's own wording; null if unreadable
        "boxes": Boxes,  # boxes of the prompt, then boxes of the target
        "answer": pl.String,  # canonical JSON of the parsed answer; null if unreadable
        "template": pl.String,
        # template: the prompt of the task alone, with anatomy that every chest has, or with one of
        # the most frequent questions; real: with a phrase or box of a real entry of the image;
        # model: with a phrase or box from the model's earlier answers; similar: with a question
        # about a similar image; annotator: what an external annotator states of itself
        "prompt_from": pl.Enum(ORIGINS),
        "text": pl.String,  # the answer without special tokens, as in predictions
        "raw": pl.String,  # the answer with every token that was generated
        "tokens": pl.Int32,
        "ended": pl.Boolean,  # whether the model itself ended the answer
        "logprob": pl.Float64,  # mean log-probability of the generated tokens, nats
        "agreement": pl.Float64,  # share of samples that parse to the same answer; null if none
        "sampled": pl.List(pl.String),  # answers of the samples, as ``answer``; null: no samples
        "score": pl.Float64,  # probability of being right that fusion gives; null: not fused
        # mean log-probability with the image less that without it, nats; null: not measured
        "visual_advantage": pl.Float64,
        # the annotator's distributions: top_ids and top_logprobs hold the same number of most
        # probable tokens for each of token_ids, which end with the token that ended the answer
        "token_ids": pl.List(pl.Int32),
        "top_ids": pl.List(pl.Int32),
        "top_logprobs": pl.List(pl.Float32),  # nats; what they lack to 1 is the mass of the rest
        "tokenizer": pl.String,  # digest of the annotator's tokenizer
        "model": pl.String,
        "checkpoint": pl.String,  # digest of the weights of the model
        "decoding": pl.String,  # JSON: greedy, max_new_tokens, samples, temperature, seed
        "round": pl.Int8,  # round of the strategy, 1-based
    }
)
"""Pseudo annotations: one row per prompt, sorted by ``pseudo_id``."""


SOFT_COLUMNS: Final = ("token_ids", "top_ids", "top_logprobs", "tokenizer")
"""Columns of the annotator's distributions; null if they were not asked for."""

ADDED: Final = frozenset({"sampled", "score", "visual_advantage", *SOFT_COLUMNS})
"""Columns that folders of earlier versions do not have; they are null there."""

_ROUNDING: Final = 1e-6  # by which a log-probability of 0 may be too high


def require_sound(table: pl.DataFrame, path: Path) -> None:
    """Check that a table from a file has all columns, and only numbers that can be.

    Args:
        table: Content of the file.
        path: The file, for the message.

    Raises:
        ImaxrayError: If a column is missing, a log-probability is not a number or above 0, an
            agreement is not a share, or an answer or a box cannot be one.
    """
    missing = [name for name in PSEUDO.names() if name not in {*table.columns, *ADDED}]
    if missing:
        raise ImaxrayError(
            f"Expected the column {missing[0]} in {path}, but it is missing; write the file again "
            "with imaxray annotate."
        )
    table = table.with_columns(
        pl.lit(None, dtype=PSEUDO[name]).alias(name) for name in sorted(ADDED - {*table.columns})
    )
    logprob, agreement = pl.col("logprob"), pl.col("agreement")
    for name, bad, wanted in (
        ("logprob", logprob.is_nan() | (logprob > _ROUNDING), "log-probabilities of at most 0"),
        ("agreement", ~agreement.is_between(0, 1), "agreements from 0 to 1"),
        ("visual_advantage", ~pl.col("visual_advantage").is_finite(), "finite numbers"),
        ("score", ~pl.col("score").is_between(0, 1), "scores from 0 to 1"),
        ("top_logprobs", ~_is_distribution(), "log-probabilities of as many tokens at each place"),
    ):
        rows = table.filter(bad).select("pseudo_id", name)
        if not rows.is_empty():
            raise ImaxrayError(
                f"Expected {wanted} in the column {name} of {path}, but {rows.height} are not, "
                f"such as {_shown(rows[name][0])} of {rows['pseudo_id'][0]}; write the file "
                "again with imaxray annotate."
            )
    require_answers(table, path)


def _is_distribution() -> pl.Expr:
    """Return whether the distributions of an answer can be; null if it has none."""
    logs, tops, tokens = (pl.col(name) for name in ("top_logprobs", "top_ids", "token_ids"))
    lengths = (logs.list.len() == tops.list.len()) & (logs.list.len() % tokens.list.len() == 0)
    numbers = ~logs.list.eval(pl.element().is_nan() | (pl.element() > 0)).list.any()
    known = ~logs.list.eval(pl.element().is_null()).list.any() & (tops.list.min() >= 0)
    return lengths & numbers & known


def _shown(value: object) -> object:
    """Return a value as a message shows it: a list by its first numbers."""
    return value.to_list()[:4] if isinstance(value, pl.Series) else value
