"""Tests that the numbers shown beside clinical scores belong to this labeller."""

from imaxray.labeller import LABELLER_VERSION, measured_agreement


def test_this_version_was_measured():
    """A new version is measured again: ``python bench/labeller.py --write``."""
    found = measured_agreement()
    assert found.labeller == LABELLER_VERSION
    assert found.reports > 1000
    assert 0.88 < found.f1 < 1
    # the three rates are rounded to four places
    assert abs(found.f1 - 2 / (1 / found.precision + 1 / found.recall)) < 1e-3


def test_its_sentence_names_what_was_measured():
    text = measured_agreement().sentence()
    assert f"labeller {LABELLER_VERSION}" in text
    assert f"{measured_agreement().f1:.2f}" in text
    assert "held-out" in text
