"""Tests the named reading rules: what each reads, that it is counted, and that it can be off."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.boxes import get_convention
from imaxray.errors import ImaxrayError
from imaxray.tasks import RULES, clean_answer, get_task, read_answer, reading_rules

CLOSED = "Is there a pleural effusion?"
OPTIONS = "Where is it? A. Left lung B. Right lung"

# rule → task, template, prompt, answer, value with the rule, value without it
CASES = {
    "end-marks": ("vqa", "open", "", "mass<|im_end|>x", "mass", "mass x"),
    "thinking": ("vqa", "closed", CLOSED, "<think>No?</think>yes", "yes", None),
    "answer-tags": ("grading", "edema", "", "hm <answer>none</answer>", 0, None),
    "boxed": ("vqa", "open", "", "So \\boxed{left lung}", "left lung", "so \\boxed{left lung}"),
    "latex": ("vqa", "open", "", "$\\text{mass}$", "mass", "$\\text{mass}$"),
    "fences": ("reg", "phrase", "", "```\nleft lung\n```", "left lung", "left lung"),
    "yaml": ("findings", "list", "",
             "- name: Edema\n  present: false\n- name: Mass\n  present: true",
             {"Mass": 1}, {"Edema": 1, "Mass": 1}),
    "markup": ("reg", "phrase", "", "<p>left lung</p>", "left lung", "<p>left lung</p>"),
    "tables": ("findings", "list", "", "| A | B |\n|---|---|\n| Edema | No |\n| Mass | Yes |",
               {"Mass": 1}, {"Edema": 1, "Mass": 1}),
    "markdown": ("grading", "edema", "", "**none**", 0, 0),
    "conclusion": ("vqa", "open", "", "It is dense. Final answer: mass", "mass",
                   "dense. final answer: mass"),
    "refusals": ("reg", "phrase", "", "I can't help with that.", None, "I can't help with that"),
    "explanation": ("vqa", "open", "", "mass\nExplanation: dense", "mass",
                    "mass, explanation: dense"),
    "lead-in": ("vqa", "open", "", "Here is my view: a mass", "a mass",
                "my view: a mass"),
    "first-thoughts": ("findings", "list", "",
                       "I initially considered edema; however, there is only a mass.",
                       {"Mass": 1}, {"Edema": 1, "Mass": 1}),
    "json": ("reg", "phrase", "", '{"label": "mass"}', "mass", '{"label": "mass"}'),
    "label-lists": ("findings", "list", "", "Edema: No\nMass: Yes", {"Mass": 1}, None),
    "sentences": ("findings", "list", "", "There is edema.", {"Edema": 1}, None),
    "normal": ("findings", "list", "", "Normal chest X-ray", {"No Finding": 1}, None),
    "grades": ("grading", "edema", "", "The edema is grade 2.", 2, None),
    "ratios": ("calculation", "ctr", "", "Normal is below 0.5. It is 0.56", 0.56, None),
    "verdict": ("vqa", "closed", CLOSED, "There is a small effusion.", "yes",
                "small effusion"),
    "options": ("vqa", "closed", OPTIONS, "(B)", "right lung", "(b)"),
    "phrases": ("reg", "phrase", "", "The region shows a mass.", "mass",
                "The region shows a mass"),
    "headings": ("report", "both", "", "Findings - Clear.\nImpression - Normal.",
                 {"findings": "Clear.", "impression": "Normal."},
                 {"findings": "Findings - Clear.\nImpression - Normal."}),
    "other-sections": ("report", "both", "", "TECHNIQUE: PA. FINDINGS: Clear.",
                       {"findings": "Clear."}, {"findings": "TECHNIQUE: PA. Clear."}),
    "box-spelling": ("rec", "phrase", "", "<loc_10><loc_20><loc_30><loc_40>",
                     [(10, 20, 30, 40)], None),
    "box-brackets": ("rec", "phrase", "", "(10, 20, 30, 40)", [(10, 20, 30, 40)], None),
    "box-decimals": ("rec", "phrase", "", "[10.0, 20.0, 30.0, 40.0]", [(10, 20, 30, 40)], None),
    "box-fractions": ("rec", "phrase", "", "[10.5, 20, 30, 40]", [(10.5, 20, 30, 40)], None),
    "box-tolerance": ("rec", "phrase", "", "[10, 20, 30, 101]", [(10, 20, 30, 100)], None),
}  # fmt: skip


def read(task, template, prompt, answer, rules=tuple(RULES)):
    return read_answer(
        get_task(task), answer, f"{task}.{template}.0", prompt=prompt,
        convention=get_convention("percent"), size=(100, 100), rules=rules,
    )  # fmt: skip


def test_every_rule_has_a_case():
    assert list(CASES) == list(RULES)


def test_the_page_lists_every_rule():
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    for rule, about in RULES.items():
        cell = about.replace("|", "\\|")
        assert f"| `{rule}` | {cell} |" in page


@pytest.mark.parametrize("rule", list(CASES))
def test_each_rule_is_counted_and_can_be_switched_off(rule):
    *case, value, without = CASES[rule]
    found = read(*case)
    assert found.value == value
    assert rule in found.rules
    off = read(*case, rules=reading_rules([rule]))
    assert off.value == without
    assert rule not in off.rules


@pytest.mark.parametrize(
    ("task", "template", "text"),
    [
        ("findings", "list", "Edema, Possible Pneumonia"), ("grading", "edema", "none"),
        ("calculation", "ctr", "0.52"), ("vqa", "closed", "yes"), ("reg", "phrase", "left lung"),
        ("report", "both", "FINDINGS: Clear. IMPRESSION: Normal."),
        ("rec", "phrase", "[10, 20, 30, 40]"),
    ],
)  # fmt: skip
def test_targets_need_no_rule(task, template, text):
    found = read(task, template, CLOSED, text)
    assert found.value is not None and found.rules == ()
    assert read(task, template, CLOSED, text, rules=()).value == found.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>is it 0.5?</think>0.52", "0.52"),
        ("<think>\na\n</think>\n\nyes<think>b</think>", "\n\nyes"),
        ("it may be 0.5</think>0.52", "0.52"),  # the template wrote the opening tag
        ("<think>a</think>b</think>0.52", "0.52"),  # a second end mark
        ("<think>a</think><answer>pleural effusion</answer>", "pleural effusion"),
        ("<think>cut off at the token limit", ""),
        ("<think>cut off <answer>yes</answer>", "yes"),
        ("<thinking>a</thinking>yes", "yes"),
        ("<|channel|>analysis<|message|>no?<|end|><|start|>assistant<|channel|>final<|message|>yes",
         "yes"),
        ("## Thinking\nno?\n\n## Final Response\nyes", "yes"),
        ("<unused94>thought\nyes or no<unused95>no", "no"),
        ("<unused94>thought\nnever ends", ""),
        ("```json\n[1, 2]\n```", "[1, 2]"),
        ("```\n0.52```", "0.52"),
        ("<think>x</think>\n```text\nyes\n```<|im_end|>", "yes"),
        ("two ```a``` and ```b```", "two ```a``` and ```b```"),  # not one block
        ("0.52<end_of_turn>\n<start_of_turn>user", "0.52"),
        ("Is it A? Hardly. The answer is (B).", "(B)."),
        ("First no, then yes. So the answer is yes", "yes"),
        ("<x>left</x> lung", " left  lung"),  # never glued into the words
        ("plain", "plain"),
    ],
)  # fmt: skip
def test_rules_of_text(text, expected):
    assert clean_answer(text).strip(" ").lstrip("\n") == expected.strip(" ").lstrip("\n")


def test_thinking_does_not_answer():
    """A trace that weighs "yes" must not decide a question that is then answered "no"."""
    text = "<think>yes, at first sight</think>No."
    gold = {"closed": True, "answers": ["no"]}
    assert get_task("vqa").primary([gold], [read("vqa", "closed", CLOSED, text).value]) == 1.0


def test_unknown_rules_are_a_sentence():
    with pytest.raises(ImaxrayError, match="got thinkin; choose from end-marks, thinking, answer-"):
        reading_rules(["thinkin"])
    with pytest.raises(ImaxrayError, match="reading rules"):
        clean_answer("x", ["y"])
    with pytest.raises(ImaxrayError, match="reading rules"):
        read("grading", "edema", "", "none", rules=["y"])


@given(st.text(alphabet="ab <>/`think\n", max_size=60))
def test_cleaning_never_invents_and_is_done_once(text):
    once = clean_answer(text, ["thinking"])
    assert len(once) <= len(text)
    assert "<think>" not in once


@given(st.text(alphabet="abno yes:,.;-*#[](){}<>/|'\"0123\n\\", max_size=60))
def test_every_text_can_be_read(text):
    """No text of a model stops the scoring."""
    for task, template in (
        ("findings", "list"), ("grading", "edema"), ("calculation", "ctr"), ("vqa", "closed"),
        ("vqa", "open"), ("reg", "phrase"), ("report", "both"), ("rec", "phrase"),
    ):  # fmt: skip
        read(task, template, CLOSED, text)


@pytest.mark.parametrize("text", ["[1and 2]", "{'answer': 'a\\d'}"])
def test_an_answer_makes_no_warning_of_a_compiler(text, recwarn):
    read("vqa", "open", "", text)
    assert not recwarn.list
