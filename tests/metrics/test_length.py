"""Tests that a very long answer neither takes very long nor costs other answers their scores."""

import time

import pytest

from imaxray import metrics
from imaxray.errors import ImaxrayError
from imaxray.metrics import MAX_WORDS, captions, is_long, length
from imaxray.tasks import all_tasks

LOOPS = {
    "sentence": "There is a small left effusion. ",
    "word": "the ",
    "marks": ". ",
    "no spaces": "-/,",
    "other marks": "\u2014\u3002",
    "underscores": "_",
}
GOLD = "The heart is mildly enlarged. There is a small left pleural effusion."


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_bounded_keeps_the_start_and_counts_every_word_and_mark(loop):
    text = loop * (63_000 // len(loop))
    kept = length.bounded(text)
    assert text.startswith(kept) and len(kept) < len(text)
    assert len(length._UNIT.findall(kept)) == MAX_WORDS
    assert length.bounded(kept) == kept and not is_long(kept) and is_long(text)


def test_an_answer_of_exactly_the_limit_is_not_long():
    text = " ".join(["effusion"] * MAX_WORDS)
    assert not is_long(text) and not is_long(text + " \n") and is_long(text + " no")
    assert is_long({"findings": text, "impression": "no"})
    assert not is_long("a" * 63_000)  # one word


def test_rouge_reads_the_start_only():
    start = " ".join(["effusion"] * MAX_WORDS)
    assert metrics.rouge_l(GOLD, start + " heart enlarged") == metrics.rouge_l(GOLD, start)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_no_metric_of_text_takes_long(loop):
    """A plain ROUGE-L or METEOR of such texts takes from seconds to minutes, or fails."""
    text = loop * (630_000 // len(loop))
    golds = {"report": {"findings": GOLD}, "reg": [GOLD],
             "vqa": {"closed": False, "answers": [GOLD]}}  # fmt: skip
    for task in (task for task in all_tasks() if task.name in golds):
        answer = {"findings": text} if task.name == "report" else text
        for metric in task.metrics:
            if metric.name.startswith("clinical"):  # the labeller is tested by itself
                continue
            start = time.perf_counter()
            metric([golds[task.name]], [answer])
            assert time.perf_counter() - start < 5, metric.name


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_captions_survive_a_looping_answer(loop):
    if lacking := metrics.missing_for_captions():
        pytest.skip(lacking)
    text = loop * (63_000 // len(loop))
    for metric in metrics.caption_metrics(list, str):
        golds = [[GOLD], ["No acute process."]]
        good, looping = metric.each(metric.matrix(golds, [GOLD, text]))
        assert good == metric.each(metric.matrix(golds, [GOLD, ""]))[0] > 0.9
        assert 0 <= looping < 0.2


def test_a_failure_of_the_java_program_ends_with_the_call(monkeypatch):
    """The program's next line would belong to an earlier question, so a new one is started."""
    if lacking := metrics.missing_for_captions():
        pytest.skip(lacking)
    monkeypatch.setattr(captions, "bounded", lambda text: text)
    good = captions.meteor_statistics([([GOLD], GOLD)])
    with pytest.raises(ImaxrayError, match=r"statistics from METEOR.*answer of 99,999 characters"):
        captions.meteor_statistics([([GOLD], ("there is an effusion " * 5000)[:99_999])])
    assert (captions.meteor_statistics([([GOLD], GOLD)]) == good).all()
