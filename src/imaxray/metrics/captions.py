"""Computes the caption metrics CIDEr-D and METEOR 1.5 by pycocoevalcap (extra ``captions``).

Both are computed for a whole set at once. CIDEr weights an n-gram by the number of gold texts of
the *set* that contain it; a bootstrap keeps these weights of the whole set and weights entries.
METEOR's statistics come from its Java program (Java 17) and are additive; its formula is applied
here.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from imaxray.errors import ImaxrayError
from imaxray.metrics.base import Floats, Metric, ratio
from imaxray.metrics.length import bounded
from imaxray.metrics.text import GoldTexts

EXTRA: Final = "captions"
TOKENISER: Final = "imaxray words 1"
"""Name of the tokeniser: lower case; letters and digits, with ``-``, ``'``, ``/`` or ``.`` inside a
word; no punctuation."""

_WORD: Final = re.compile(r"[^\W_]+(?:[-'/.][^\W_]+)*")
_STAGES: Final = 4  # exact, stem, synonym, paraphrase
_STAGE_WEIGHTS: Final = np.array([1.0, 0.6, 0.8, 0.6])
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # English, task "rank": METEOR 1.5's default


def words(text: str) -> str:
    """Return the tokens of a text (see TOKENISER), joined by spaces."""
    return " ".join(_WORD.findall(text.lower()))


def missing_for_captions() -> str | None:
    """Return a sentence that says what CIDEr and METEOR lack; ``None`` if nothing is missing."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        return (
            "Expected the package pycocoevalcap for CIDEr and METEOR, but it is not installed; "
            f"install imaxray[{EXTRA}] or leave {EXTRA} out."
        )
    if shutil.which("java") is None:
        return (
            "Expected Java 17 for METEOR, but found no program java; install a Java runtime or "
            f"leave {EXTRA} out."
        )
    return None


def caption_metrics(gold_texts: GoldTexts, text: Callable[[Any], str]) -> tuple[Metric, ...]:
    """Return METEOR and CIDEr of a task; for the arguments see :func:`.corpus_bleu`."""

    def pairs(golds: Sequence[Any], answers: Sequence[Any]) -> list[tuple[list[str], str]]:
        return [
            (list(gold_texts(gold)), "" if answer is None else text(answer))
            for gold, answer in zip(golds, answers, strict=True)
        ]

    def meteor(golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
        return meteor_statistics(pairs(golds, answers))

    def cider(golds: Sequence[Any], answers: Sequence[Any]) -> Floats:
        scores = cider_scores(pairs(golds, answers))
        return np.column_stack([scores, np.ones(len(scores))])

    return (
        Metric("METEOR", True, 0.0, 1.0, "", _one(meteor), meteor_value, meteor),
        Metric("CIDEr", True, 0.0, 10.0, "", _one(cider), ratio, cider),
    )


def _one(whole: Callable[[Sequence[Any], Sequence[Any]], Floats]) -> Any:
    return lambda gold, answer: [float(value) for value in whole([gold], [answer])[0]]


def cider_scores(pairs: Sequence[tuple[Sequence[str], str]]) -> Floats:
    """Return CIDEr-D (0-10) of each (golds, answer) by pycocoevalcap's scorer, shape ``(n,)``.

    Raises:
        ImaxrayError: The extra ``captions`` or Java is missing.
    """
    _require()
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    scorer = CiderScorer()
    for golds, answer in pairs:
        scorer += (words(answer), [words(gold) for gold in golds])
    return np.asarray(scorer.compute_score()[1], dtype=np.float64)


def meteor_statistics(pairs: Sequence[tuple[Sequence[str], str]]) -> Floats:
    """Return METEOR's 23 statistics of each (golds, answer), shape ``(n, 23)``.

    The Java program normalises and tokenises the texts itself (``-norm``). Of several gold texts it
    uses the one with the best score. It gets the first :data:`.length.MAX_WORDS` words of an
    answer.

    Raises:
        ImaxrayError: The extra ``captions`` or Java is missing, or the program ended early.
    """
    _require()
    program = _program()
    try:
        rows = [_numbers(program, golds, answer) for golds, answer in pairs]
    except BaseException:
        _program.cache_clear()  # its next line would answer a question that was asked before
        raise
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 7 + 4 * _STAGES)
    length, gold_length = table[:, 0], table[:, 1]
    chunks, hits, gold_hits = (table[:, 4 + 4 * _STAGES + k] for k in range(3))
    # for a text that equals its gold, the program has no penalty and does not add its chunk
    whole = (hits == length) & (gold_hits == gold_length) & (chunks == 1)
    table[whole, 4 + 4 * _STAGES] = 0.0
    return table


def _numbers(program: Any, golds: Sequence[str], answer: str) -> list[float]:
    """Return METEOR's statistics of one answer."""
    try:
        line = program._stat(_one_line(bounded(answer)), [_one_line(gold) or "." for gold in golds])
        numbers = [float(number) for number in line.split()]
    except (OSError, ValueError):  # the pipe is broken, or the line is an error message
        numbers = []
    if len(numbers) != 7 + 4 * _STAGES:
        raise ImaxrayError(
            f"Expected {7 + 4 * _STAGES} statistics from METEOR's Java program, but got "
            f"{len(numbers)} for an answer of {len(answer):,} characters; check that "
            "`java -version` says 17 or later and that 2 GB of memory are free."
        )
    return numbers


@cache
def _program() -> Any:
    """Start the Java program once, because it takes seconds to load its tables."""
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()


def meteor_value(sums: Floats) -> Floats:
    """Return METEOR 1.5 of summed statistics (Denkowski and Lavie 2014, English, ``rank``)."""
    length, gold_length, function, gold_function = (sums[..., k] for k in range(4))
    stages = sums[..., 4 : 4 + 4 * _STAGES].reshape(*sums.shape[:-1], _STAGES, 4)
    chunks, hits, gold_hits = (sums[..., 4 + 4 * _STAGES + k] for k in range(3))
    content, gold_content, plain, gold_plain = (stages[..., k] for k in range(4))

    def weighted(of_content: Floats, of_function: Floats) -> Floats:
        mixed = _DELTA * of_content + (1 - _DELTA) * of_function
        return np.asarray(mixed @ _STAGE_WEIGHTS)

    with np.errstate(divide="ignore", invalid="ignore"):
        precision = weighted(content, plain) / (
            _DELTA * (length - function) + (1 - _DELTA) * function
        )
        recall = weighted(gold_content, gold_plain) / (
            _DELTA * (gold_length - gold_function) + (1 - _DELTA) * gold_function
        )
        mean = 1.0 / ((1.0 - _ALPHA) / precision + _ALPHA / recall)
        scatter = chunks / ((hits + gold_hits) / 2)
        value = mean * (1.0 - _GAMMA * scatter**_BETA)
    return np.where(np.isfinite(value), np.maximum(value, 0.0), 0.0)


def _one_line(text: str) -> str:
    return " ".join(text.replace("|||", " ").split())


def _require() -> None:
    missing = missing_for_captions()
    if missing is not None:
        raise ImaxrayError(missing)
