"""Tests the named reading rules: what they remove, and that they can be switched off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.tasks import RULES, clean_answer, get_task, reading_rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>is it 0.5?</think>0.52", "0.52"),
        ("<think>\na\n</think>\n\nyes<think>b</think>", "\n\nyes"),
        ("it may be 0.5</think>0.52", "0.52"),  # the template wrote the opening tag
        ("<think>cut off at the token limit", ""),
        ("<unused94>thought\nyes or no<unused95>no", "no"),
        ("<unused94>thought\nnever ends", ""),
        ("```json\n[1, 2]\n```", "[1, 2]"),
        ("```\n0.52```", "0.52"),
        ("<think>x</think>\n```text\nyes\n```<|im_end|>", "yes"),
        ("two ```a``` and ```b```", "two ```a``` and ```b```"),  # not one block
        ("0.52<end_of_turn>\n<start_of_turn>user", "0.52"),
        ("plain", "plain"),
    ],
)
def test_rules(text, expected):
    assert clean_answer(text) == expected


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_can_be_switched_off(rule):
    text = {"thinking": "<think>a</think>b", "fences": "```\nb\n```", "end-marks": "b</s>"}[rule]
    assert clean_answer(text) == "b"
    assert clean_answer(text, reading_rules([rule])) == text


def test_thinking_does_not_answer():
    """A trace that weighs "yes" must not decide a question that is then answered "no"."""
    text = "<think>yes, at first sight</think>No."
    vqa, gold = get_task("vqa"), {"closed": True, "answers": ["no"]}
    parsed = vqa.parse(clean_answer(text), [], "vqa.closed.0")
    assert vqa.primary([gold], [parsed]) == 1.0
    raw = vqa.parse(clean_answer(text, reading_rules(["thinking"])), [], "vqa.closed.0")
    assert vqa.primary([gold], [raw]) == 0.0


def test_unknown_rules_are_a_sentence():
    with pytest.raises(ImaxrayError, match="got thinkin; choose from end-marks, thinking, fences"):
        reading_rules(["thinkin"])
    with pytest.raises(ImaxrayError, match="reading rules"):
        clean_answer("x", ["y"])


@given(st.text(alphabet="ab <>/`think\n", max_size=60))
def test_cleaning_never_invents_and_is_done_once(text):
    once = clean_answer(text, ["thinking"])
    assert len(once) <= len(text)
    assert "<think>" not in once
