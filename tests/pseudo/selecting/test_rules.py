"""Tests that rules are data: read strictly, replaced by name, and never executed."""

import pytest

from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.errors import ImaxrayError
from imaxray.pseudo import load_rules

OWN = """
rules:
  - name: {name}
    says: A ratio against a grade.
    first: {{fact: measurement, name: ctr}}
    second: {{fact: grade}}
    contradict: [{{first: {{below: 0.4}}, second: {{at-least: 3}}}}]
    effect: {effect}
"""
CLINICAL = """
rules:
  - name: mine
    says: An answer about edema contradicts the grade.
    first: {{fact: grade, name: edema}}
    second: {{fact: asked, name: Edema}}
    clinical: {rule}
"""


def written(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return path


def test_the_builtin_rules_are_those_of_the_issue():
    names = {rule.name for rule in load_rules()}
    assert names >= {
        "ctr-cardiomegaly", "grade-edema", "report-findings", "cycle-phrase", "cycle-box",
        "vqa-findings", "vqa-boxes", "place",
    }  # fmt: skip


def test_a_rule_of_ones_own_joins_ours(tmp_path):
    rules = load_rules(written(tmp_path, OWN.format(name="mine", effect="drop-both")))
    assert len(rules) == len(load_rules()) + 1
    assert rules[-1].name == "mine" and rules[-1].contradict[0].second.at_least == 3


def test_a_rule_of_the_same_name_replaces_ours(tmp_path):
    rules = load_rules(written(tmp_path, OWN.format(name="place", effect="keep")))
    assert len(rules) == len(load_rules())
    assert next(rule for rule in rules if rule.name == "place").effect == "keep"


def test_a_rule_of_ones_own_may_name_a_clinical_rule(tmp_path):
    mine = load_rules(written(tmp_path, CLINICAL.format(rule="edema-grade-label")))[-1]
    ours = next(rule for rule in load_rules() if rule.name == "grade-edema")
    assert mine.contradict == ours.contradict and mine.agree == ours.agree
    assert mine.contradict[1].first.at_least == 2


def test_what_a_rule_says_has_the_thresholds_in_force():
    block = {
        "ctr-cardiomegaly": {"thresholds": {"cut": 0.55}},
        "edema-grade-label": {"thresholds": {"grade": 3}},
    }
    for rules, cut, grade in ((DEFAULT_RULES, "0.5", "2"), (ClinicalRules(block), "0.55", "3")):
        says = {rule.name: rule.says for rule in load_rules(default=rules)}
        assert says["ctr-cardiomegaly"] == (
            f"Cardiomegaly is stated though the CTR lies clearly below {cut}, or denied though "
            "clearly above."
        )
        assert says["grade-edema"] == (
            "Edema is stated though its grade is 0, or denied though its grade is at least "
            f"{grade}."
        )
        assert "{" not in "".join(says.values())


def test_ours_can_be_left_out(tmp_path):
    text = "builtin: false\n" + OWN.format(name="mine", effect="drop")
    assert [rule.name for rule in load_rules(written(tmp_path, text))] == ["mine"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OWN.format(name="mine", effect="explode"), r"rules\.mine\.effect"),
        (OWN.format(name="mine", effect="confirm"), "needs a case under agree"),
        (OWN.format(name="mine", effect="drop").replace("grade}", "mood}"), r"rules\.mine\.second"),
        (OWN.format(name="mine", effect="drop").replace("below", "bellow"), "bellow"),
        (OWN.format(name="mine", effect="drop").replace("    second: {fact: grade}\n", ""),
         "need facts under second"),
        (CLINICAL.format(rule="edema"), "unknown clinical rule edema"),
        (CLINICAL.format(rule="edema-grade-label") + "    contradict: [{values: same}]\n",
         "give either clinical, or contradict and agree"),
        ("rules: [", "cannot be read"),
        ("rules: !!python/object/apply:os.getcwd []", "cannot be read"),
        ("just text", "the whole"),
        (OWN.format(name="twice", effect="drop")
         + OWN.format(name="twice", effect="drop").replace("\nrules:\n", ""), "comes twice"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_vocabulary_is_a_sentence(tmp_path, text, says):
    with pytest.raises(ImaxrayError, match=says):
        load_rules(written(tmp_path, text))


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")
