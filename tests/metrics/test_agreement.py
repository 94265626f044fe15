"""Tests metrics against reference implementations on a thousand random cases, to 1e-9."""

import random

import numpy as np
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from scipy.stats import trim_mean
from sklearn.metrics import (
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
    median_absolute_error,
)
from torchmetrics.functional.classification import multilabel_f1_score

from imaxray import metrics
from imaxray.boxes import iou
from imaxray.metrics import captions

CASES = 1000
WORDS = "the heart is mildly enlarged large lungs are clear no pleural effusion effusions , . in left right increased bigger small tiny there of and with 2.5 cm x-ray opacities opacity".split()  # noqa: SIM905, E501


def sentence(draw, low, high):
    return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))


def exactly(value):
    return pytest.approx(value, abs=1e-9)


def test_grades_agree_with_scikit_learn():
    draw = random.Random(0)
    macro, accuracy, kappa = metrics.grade_metrics(4)
    labels = [0, 1, 2, 3]
    for _ in range(CASES):
        gold = [draw.randrange(4) for _ in range(draw.randint(5, 25))]
        answer = [draw.randrange(4) for _ in gold]
        f1 = f1_score(gold, answer, labels=labels, average="macro", zero_division=0)
        assert macro(gold, answer) == exactly(f1)
        assert accuracy(gold, answer) == exactly(np.mean(np.equal(gold, answer)))
        if len({*gold, *answer}) > 1:
            qwk = cohen_kappa_score(gold, answer, labels=labels, weights="quadratic")
            assert kappa(gold, answer) == exactly(qwk)


def test_label_sets_agree_with_scikit_learn_and_torchmetrics():
    draw = np.random.default_rng(1)
    names = ["a", "b", "c", "d", "e"]
    macro, micro, example = metrics.label_metrics(names)
    set_macro, set_micro = metrics.set_f1("x", names, set, lambda a: set(a or ()))
    for case in range(CASES):
        truth, guess = draw.integers(0, 2, (2, 12, 5))
        golds = [dict(zip(names, map(int, row), strict=True)) for row in truth]
        answers = [{n: 1 for n, v in zip(names, row, strict=True) if v} for row in guess]
        expected = f1_score(truth, guess, average="micro", zero_division=0)
        assert micro(golds, answers) == exactly(expected)
        if case < 50:  # slow, and in float32
            of_torch = multilabel_f1_score(
                torch.tensor(guess), torch.tensor(truth), num_labels=5, average="micro"
            )
            assert float(of_torch) == pytest.approx(expected, abs=1e-6)
        seen = truth.any(axis=0)
        expected = f1_score(truth[:, seen], guess[:, seen], average="macro", zero_division=0)
        assert macro(golds, answers) == exactly(expected)
        expected = f1_score(truth, guess, average="samples", zero_division=1)
        assert example(golds, answers) == exactly(expected)
        sets = [{n for n, v in gold.items() if v} for gold in golds]
        either = truth.any(axis=0) | guess.any(axis=0)
        expected = f1_score(truth[:, either], guess[:, either], average="macro", zero_division=0)
        assert set_macro(sets, answers) == exactly(expected)
        assert set_micro(sets, answers) == exactly(micro(golds, answers))


def test_errors_agree_with_scikit_learn_and_a_hand_worked_bland_altman():
    draw = np.random.default_rng(2)
    mae, median = metrics.mean_absolute_error(1.0), metrics.median_absolute_error(1.0)
    bias, limits = metrics.bland_altman(1.0)
    for _ in range(CASES):
        gold, answer = draw.random((2, int(draw.integers(2, 30))))
        assert mae(list(gold), list(answer)) == exactly(mean_absolute_error(gold, answer))
        assert median(list(gold), list(answer)) == exactly(median_absolute_error(gold, answer))
        difference = answer - gold
        assert bias(list(gold), list(answer)) == exactly(trim_mean(difference, 0))
        assert limits(list(gold), list(answer)) == exactly(1.96 * difference.std(ddof=1))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_corpus_bleu_agrees_with_sacrebleu(order):
    """Several references and empty answers among them."""
    draw = random.Random(order)
    metric = metrics.corpus_bleu(order, list, str)
    reference = BLEU(max_ngram_order=order)
    for _ in range(CASES // 4):
        size = draw.randint(1, 6)
        golds = [[sentence(draw, 1, 12) for _ in range(2)] for _ in range(size)]
        answers = [sentence(draw, 0, 12) for _ in golds]
        columns = [list(column) for column in zip(*golds, strict=True)]
        expected = reference.corpus_score(answers, columns).score
        assert metric(golds, answers) == exactly(expected)


def test_rouge_agrees_with_rouge_score():
    draw = random.Random(5)
    reference = RougeScorer(["rougeL"], use_stemmer=True)
    for _ in range(CASES):
        gold, answer = sentence(draw, 1, 20), sentence(draw, 0, 20)
        expected = reference.score(gold, answer)["rougeL"].fmeasure
        assert metrics.rouge_l(gold, answer) == exactly(expected)


@pytest.fixture(scope="module")
def captioned():
    if lacking := metrics.missing_for_captions():
        pytest.skip(lacking)
    draw = random.Random(6)
    return [
        ([sentence(draw, 1, 12) for _ in range(draw.randint(1, 3))], sentence(draw, 0, 12))
        for _ in range(CASES)
    ]


def test_cider_agrees_with_pycocoevalcap(captioned):
    """Against ``Cider.compute_score`` on texts tokenised beforehand: the mathematics is theirs."""
    from pycocoevalcap.cider.cider import Cider

    golds = {k: [captions.words(g) for g in pair[0]] for k, pair in enumerate(captioned)}
    answers = {k: [captions.words(pair[1])] for k, pair in enumerate(captioned)}
    expected, each = Cider().compute_score(golds, answers)
    cider = metrics.caption_metrics(list, str)[1]
    golds_, answers_ = [pair[0] for pair in captioned], [pair[1] for pair in captioned]
    statistics = cider.matrix(golds_, answers_)
    np.testing.assert_allclose(cider.each(statistics), each, atol=1e-9)
    assert cider(golds_, answers_) == exactly(expected)


def test_meteor_agrees_with_the_java_program(captioned):
    """The formula over summed statistics, against the program's own total and single scores."""
    statistics = captions.meteor_statistics(captioned)
    golds = {k: pair[0] for k, pair in enumerate(captioned)}
    answers = {k: [pair[1]] for k, pair in enumerate(captioned)}
    expected, each = captions._program().compute_score(golds, answers)
    assert float(captions.meteor_value(statistics.sum(axis=0))) == exactly(expected)
    np.testing.assert_allclose(captions.meteor_value(statistics), each, atol=1e-9)
    assert 0 < expected < 1


def test_iou_agrees_with_counting_pixels():
    draw = np.random.default_rng(7)

    def drawn():
        x1, y1 = draw.integers(0, 20, 2)
        x2, y2 = draw.integers([x1 + 1, y1 + 1], 25)
        mask = np.zeros((25, 25), dtype=bool)
        mask[y1:y2, x1:x2] = True
        return (float(x1), float(y1), float(x2), float(y2)), mask

    for _ in range(CASES):
        (a, inside_a), (b, inside_b) = drawn(), drawn()
        assert iou(a, b) == exactly((inside_a & inside_b).sum() / (inside_a | inside_b).sum())


def test_token_f1_agrees_with_a_hand_worked_squad():
    """The official script's arithmetic on lower-case words without articles or punctuation."""
    draw = random.Random(8)
    words = ["heart", "lung", "left", "effusion", "small"]
    for _ in range(CASES):
        gold = [draw.choice(words) for _ in range(draw.randint(1, 6))]
        answer = [draw.choice(words) for _ in range(draw.randint(0, 6))]
        rest, common = list(gold), 0
        for word in answer:
            if word in rest:
                rest.remove(word)
                common += 1
        precision, recall = common / max(1, len(answer)), common / len(gold)
        f1 = 2 * precision * recall / (precision + recall) if common else 0.0
        assert metrics.token_f1(" ".join(gold), " ".join(answer)) == exactly(f1)
        assert metrics.token_recall(" ".join(gold), " ".join(answer)) == exactly(recall)
