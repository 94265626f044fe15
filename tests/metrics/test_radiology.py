"""Tests the calls of RadEval on a stand-in, because its weights cannot be downloaded here."""

import sys
from types import ModuleType

import pytest

from imaxray.errors import ImaxrayError
from imaxray.metrics import missing_for_radiology, radiology, radiology_metrics


class StandIn:
    """Speaks as RadEval 2 does with ``per_sample=True``; refuses empty texts, as its models do."""

    def __init__(self, metrics, per_sample):
        assert per_sample
        self.metric = metrics[0]

    def __call__(self, refs, hyps):
        assert all(refs) and all(hyps)
        scores = [1.0 if r == h else None if h == "unjudged" else 0.5
                  for r, h in zip(refs, hyps, strict=True)]  # fmt: skip
        return {"radgraph": {"radgraph_simple": [], "radgraph_partial": scores},
                "green": {"green": scores}}[self.metric]  # fmt: skip


class Labels:
    def get_labels(self, texts, mode):
        assert mode == "rrg"
        return [[int(letter in text) for letter in "abcdefghijklmn"] for text in texts]


@pytest.fixture
def radeval(monkeypatch):
    package, module = ModuleType("radeval"), ModuleType("f1chexbert")
    package.RadEval, module.F1CheXbert = StandIn, Labels
    monkeypatch.setitem(sys.modules, "radeval", package)
    monkeypatch.setitem(sys.modules, "radeval.metrics.f1chexbert.f1chexbert", module)
    for cached in (radiology._evaluator, radiology._chexbert):
        cached.cache_clear()
    yield package
    for cached in (radiology._evaluator, radiology._chexbert):
        cached.cache_clear()


def value(name, golds, answers):
    metric = next(m for m in radiology_metrics(str) if m.name == name)
    return metric(golds, answers)


def test_empty_and_unjudged_reports_score_0_and_stay(radeval):
    golds = ["x", "x", "x", "x"]
    for name in ("RadGraph F1", "GREEN"):
        assert value(name, golds, ["x", "y", None, "unjudged"]) == pytest.approx(1.5 / 4)
        assert value(name, golds, [None, "", None, ""]) == 0.0


def test_chexbert_f1_is_counted_over_reports(radeval):
    golds, answers = ["a b", "a", "c"], ["a", "a d", None]
    assert value("CheXbert micro F1", golds, answers) == pytest.approx(2 * 2 / (4 + 3))
    assert value("CheXbert macro F1", golds, answers) == pytest.approx(1 / 14)


def test_another_radeval_is_a_sentence(radeval):
    radeval.RadEval = lambda metrics, per_sample: lambda refs, hyps: {"radgraph": 0.5}
    with pytest.raises(ImaxrayError, match="per_sample"):
        value("RadGraph F1", ["x"], ["x"])


@pytest.mark.skipif(missing_for_radiology() is None, reason="RadEval is installed")
def test_its_absence_is_a_sentence():
    with pytest.raises(ImaxrayError, match=r"imaxray\[radiology\]"):
        value("RadGraph F1", ["x"], ["x"])
