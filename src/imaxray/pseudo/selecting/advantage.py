"""Scores answers by their visual advantage: how much more probable the image makes them."""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.errors import ImaxrayError

_SHARE: Final = 1 / (1 + (-pl.col("visual_advantage")).exp())
"""``p / (p + q)`` of the geometric mean probabilities of the tokens with (p) and without (q) the
image; 0.5 if the image changes nothing."""


def scored_by_advantage(answers: pl.DataFrame) -> pl.DataFrame:
    """Return answers whose score is their visual advantage, as a share in (0, 1).

    The share is multiplied by the agreement of samples, as confidence is. An answer without an
    advantage, such as one of an external annotator, has no score, so that its confidence counts.

    Args:
        answers: Answers (schema PSEUDO).

    Raises:
        ImaxrayError: No answer has an advantage.
    """
    if answers.height and answers["visual_advantage"].is_null().all():
        raise ImaxrayError(
            "Expected answers whose visual advantage was measured, but none was; annotate with "
            "--visual-advantage, or filter by the score confidence."
        )
    score = _SHARE * pl.col("agreement").fill_null(1.0)
    return answers.with_columns(score.alias("score"))
