"""Computes metrics of words: token overlap, ROUGE-L (rouge-score), BLEU (sacrebleu)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from imaxray.metrics.base import Floats, Metric, mean_of, ratio
from imaxray.metrics.length import bounded
from imaxray.metrics.normalising import NORMALISATION, Normalisation, normalise

GoldTexts = Callable[[Any], Sequence[str]]


def token_f1(gold: str, answer: str, normalisation: Normalisation = NORMALISATION) -> float:
    """Return the F1 of the multisets of normalised tokens; it is 1 if both are empty.

    Example:
        >>> round(token_f1("small left effusion", "left effusion"), 2)
        0.8
        >>> token_f1("1.5 cm", "15 mm"), token_f1("1.5 cm", "15 cm")
        (1.0, 0.0)
    """
    return _overlap(
        gold, answer, normalisation, lambda hit, asked, given: 2 * hit / (asked + given)
    )


def token_recall(gold: str, answer: str, normalisation: Normalisation = NORMALISATION) -> float:
    """Return the share of the gold's normalised tokens (a multiset) that the answer contains.

    Example:
        >>> round(token_recall("small left effusion", "left effusion"), 2)
        0.67
    """
    return _overlap(
        gold, answer, normalisation, lambda hit, asked, _: hit / asked if asked else 0.0
    )


def _overlap(
    gold: str,
    answer: str,
    normalisation: Normalisation,
    share: Callable[[int, int, int], float],
) -> float:
    asked, given = (
        Counter(normalise(text, normalisation=normalisation).split()) for text in (gold, answer)
    )
    if not asked and not given:
        return 1.0
    return share((asked & given).total(), asked.total(), given.total())


def best_of(
    score: Callable[[str, str], float],
) -> Callable[[Sequence[str], str | None], float]:
    """Turn a score of two texts into the best score over several gold texts; no answer scores 0."""
    return lambda golds, answer: 0.0 if answer is None else max(score(g, answer) for g in golds)


def exact(gold: str, answer: str, normalisation: Normalisation = NORMALISATION) -> float:
    """Return 1 if the normalised texts are equal, else 0.

    Example:
        >>> exact("Pleural effusion.", "pleural effusion"), exact("2-3 cm", "20 to 30 mm")
        (1.0, 1.0)
    """
    first, second = (normalise(text, normalisation=normalisation) for text in (gold, answer))
    return float(first == second)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # imported late, because it loads nltk

    return RougeScorer(["rougeL"], use_stemmer=True)


@cache
def rouge_l(gold: str, answer: str) -> float:
    """Return the ROUGE-L F1 with stemming of the rouge-score package.

    Only the first :data:`.length.MAX_WORDS` words of the answer are read.

    Example:
        >>> round(rouge_l("The heart is enlarged.", "Heart enlarged."), 2)
        0.67
    """
    return float(_rouge().score(gold, bounded(answer))["rougeL"].fmeasure)


def mean_metric(
    name: str,
    score: Callable[[Any, Any], float],
    squad: Callable[[Any, Any], float] | None = None,
) -> Metric:
    """Return a metric that is the mean of a score in [0, 1].

    Args:
        name: Name of the metric.
        score: Function from a gold answer and a parsed answer to the score.
        squad: The same under SQuAD's normalisation; ``None`` if the score does not normalise texts.
    """
    plain = None if squad is None else mean_of(squad)
    return Metric(name, True, 0.0, 1.0, "", mean_of(score), ratio, squad=plain)


BLEU_ORDER: Final = 4


def corpus_bleu(order: int, gold_texts: GoldTexts, text: Callable[[Any], str]) -> Metric:
    """Return corpus BLEU up to n-grams of ``order``, by sacrebleu's counts and formula, 0-100.

    Args:
        order: Length of the longest n-grams, 1 to 4.
        gold_texts: Function that returns the acceptable texts of a gold answer; several texts are
            several references.
        text: Function that returns the text of a parsed answer; a missing answer counts as empty
            text.
    """

    def statistics(gold: Any, answer: Any) -> Sequence[float]:
        counts = _bleu_counts(tuple(gold_texts(gold)), "" if answer is None else text(answer))
        hits, totals = counts[:BLEU_ORDER], counts[BLEU_ORDER : 2 * BLEU_ORDER]
        return (*hits[:order], *totals[:order], *counts[2 * BLEU_ORDER :])

    def value(sums: Floats) -> Floats:
        return _bleu(sums, order)

    return Metric(f"BLEU-{order}", True, 0.0, 100.0, "", statistics, value)


@cache
def _sacrebleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU  # imported late, because it is slow

    return BLEU(max_ngram_order=BLEU_ORDER)


@cache
def _bleu_counts(golds: tuple[str, ...], answer: str) -> tuple[float, ...]:
    score = _sacrebleu().corpus_score([answer], [[gold] for gold in golds])
    return (*score.counts, *score.totals, score.sys_len, score.ref_len)


def bleu_signature() -> str:
    """Return sacrebleu's signature: tokeniser, case, smoothing and version."""
    scorer = _sacrebleu()
    scorer.corpus_score(["a"], [["a"]])  # the signature exists only after a first use
    return str(scorer.get_signature())


def _bleu(sums: Floats, order: int) -> Floats:
    counts, totals = sums[..., :order], sums[..., order : 2 * order]
    system, reference = sums[..., -2], sums[..., -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # sacrebleu's "exp" smoothing: the k-th order without a match counts as 1 / 2^k
        halvings = 2.0 ** np.cumsum((counts == 0) & (totals > 0), axis=-1)
        precision = np.where(counts > 0, counts / totals, 1.0 / (halvings * totals))
        brevity = np.where(system < reference, np.exp(1 - reference / system), 1.0)
        value = 100 * brevity * np.exp(np.log(precision).mean(axis=-1))
    usable = (counts[..., 0] > 0) & (totals > 0).all(axis=-1) & (system > 0)
    return np.where(usable, value, 0.0)
