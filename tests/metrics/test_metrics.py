"""Tests metrics on golden cases and against reference implementations."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from imaxray import metrics
from imaxray.metrics import classification, grounding, text
from imaxray.tasks import all_tasks, get_task

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))


def needs_captions():
    if lacking := metrics.missing_for_captions():
        pytest.skip(lacking)


def golden_cases():
    for path in GOLDEN:
        for number, case in enumerate(json.loads(path.read_text())):
            yield pytest.param(case, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("case", golden_cases())
def test_golden(case):
    task = get_task(case["task"])
    if case["metric"] in ("METEOR", "CIDEr"):
        needs_captions()
    metric = task.metric(case["metric"])
    answers = [
        None if text is None else task.parse(text, [tuple(b) for b in boxes], case["template"])
        for text, boxes in zip(case["texts"], case.get("boxes", [[]] * 99), strict=False)
    ]
    assert metric(case["golds"], answers) == pytest.approx(case["expected"], abs=1e-9)


def test_every_metric_has_a_golden_case():
    cases = [case.values[0] for case in golden_cases()]
    covered = {(case["task"], case["metric"]) for case in cases}
    # those of RadEval need weights that are downloaded
    every = {
        (task.name, metric.name)
        for task in all_tasks()
        for metric in (*task.metrics, *task.optional.get("captions", ()))
    }
    assert every == covered


def test_grading_agrees_with_scikit_learn():
    random.seed(0)
    macro, accuracy, kappa = metrics.grade_metrics(4)
    for _ in range(100):
        gold = [random.randrange(4) for _ in range(30)]
        answer = [random.randrange(4) for _ in gold]
        labels = [0, 1, 2, 3]
        f1 = f1_score(gold, answer, labels=labels, average="macro", zero_division=0)
        assert macro(gold, answer) == pytest.approx(f1, abs=1e-9)
        assert accuracy(gold, answer) == pytest.approx(accuracy_score(gold, answer), abs=1e-9)
        qwk = cohen_kappa_score(gold, answer, labels=labels, weights="quadratic")
        assert kappa(gold, answer) == pytest.approx(qwk, abs=1e-9)


def test_labels_agree_with_scikit_learn():
    random.seed(1)
    names = ["a", "b", "c", "d"]
    macro, micro, _ = metrics.label_metrics(names)
    for _ in range(50):
        gold = [{n: random.randrange(2) for n in names} for _ in range(25)]
        answer = [{n: 1 for n in names if random.random() < 0.5} for _ in gold]
        truth = np.array([[g[n] for n in names] for g in gold])
        guess = np.array([[a.get(n, 0) for n in names] for a in answer])
        expected = f1_score(truth, guess, average="micro", zero_division=0)
        assert micro(gold, answer) == pytest.approx(expected, abs=1e-9)
        expected = f1_score(truth, guess, average="macro", zero_division=0)
        assert macro(gold, answer) == pytest.approx(expected, abs=1e-9)


def test_unknown_labels_are_masked():
    macro, micro, example = metrics.label_metrics(["a", "b"])
    for metric in (macro, micro, example):
        assert metric([{"a": 1}], [{"a": 1, "b": 1}]) == 1.0


WORDS = ["heart", "lungs", "are", "clear", "effusion", "no", "the", "enlarged"]


@pytest.mark.parametrize("order", [1, 4])
def test_bleu_agrees_with_sacrebleu(order):
    random.seed(order)
    metric = metrics.corpus_bleu(order, lambda gold: [gold], str)
    for _ in range(60):
        golds = [" ".join(random.choices(WORDS, k=random.randint(4, 15))) for _ in range(8)]
        answers = [" ".join(random.choices(WORDS, k=random.randint(0, 15))) for _ in golds]
        reference = BLEU(max_ngram_order=order).corpus_score(answers, [golds]).score
        assert metric(golds, answers) == pytest.approx(reference, abs=1e-9)


def test_several_boxes_are_matched_one_to_one():
    gold = [(0.0, 0.0, 1.0, 1.0), (2.0, 0.0, 3.0, 1.0)]
    assert grounding.matched_ious(gold, gold[::-1]) == [1.0, 1.0]
    metric = metrics.mean_iou()
    assert metric([gold], [gold[:1]]) == 0.5
    assert metric([gold[:1]], [gold]) == 0.5  # an extra box costs
    assert metric([gold], [None]) == 0.0


def test_iou_of_exactly_one_half_counts():
    metric = metrics.accuracy_at(0.5)
    assert metric([[(0.0, 0.0, 2.0, 1.0)]], [[(0.0, 0.0, 1.0, 1.0)]]) == 1.0


def test_token_f1_is_not_swapped():
    """Precision 1/2, recall 1: an evaluator once printed them the other way round."""
    assert text.token_recall("effusion", "left effusion") == 1.0
    assert text.token_f1("effusion", "left effusion") == pytest.approx(2 / 3)
    assert text.token_f1("effusion", "") == 0.0


def test_empty_answers_stay_in_the_divisor():
    metric = get_task("report").primary
    gold = {"findings": "the lungs are clear"}
    assert metric([gold, gold], [gold, None]) == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), min_size=2, max_size=12)
)
def test_statistics_add_up_and_values_stay_in_range(pairs):
    golds, answers = zip(*pairs, strict=True)
    for metric in (*classification.grade_metrics(4), metrics.invalid_rate()):
        whole = metric.matrix(golds, answers).sum(axis=0)
        half = metric.matrix(golds[:1], answers[:1]).sum(0) + metric.matrix(
            golds[1:], answers[1:]
        ).sum(0)
        np.testing.assert_allclose(whole, half)
        value = float(metric.value(whole))
        assert metric.low - 1e-12 <= value <= metric.high + 1e-12
        shuffled = metric(golds[::-1], answers[::-1])
        assert shuffled == pytest.approx(value)
