"""Tests the reading of answers on a table of them with the values that they state."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden_answers.jsonl").read_text().splitlines()
]


@pytest.fixture(scope="module")
def outcomes():
    spec = importlib.util.spec_from_file_location("reading", ROOT / "bench" / "reading.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [(module.outcome(row), row) for row in ROWS]


def test_the_table_covers_all_tasks():
    counts = Counter(row["task"] for row in ROWS)
    assert counts.total() >= 400
    assert set(counts) == {"calculation", "findings", "grading", "rec", "reg", "report", "vqa"}
    assert min(counts.values()) >= 20
    assert any(row["value"] is None for row in ROWS)


@pytest.mark.parametrize(("kind", "most"), [("misread", 0.01), ("unreadable", 0.03)])
def test_hardly_any_answer_is_read_wrongly(outcomes, kind, most):
    wrong = [(row["task"], row["answer"], read) for (said, read), row in outcomes if said == kind]
    assert len(wrong) < most * len(ROWS), wrong


def test_without_a_rule_its_answers_are_not_read_as_the_opposite():
    """A rule that is off leaves answers unreadable rather than guessed."""
    from imaxray.tasks import get_task, read_answer

    answer = read_answer(get_task("findings"), "Edema: No", "findings.list.0", rules=())
    assert answer.value is None
