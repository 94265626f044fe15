"""Tests rules of a user's YAML file and of other packages."""

import polars as pl
import pytest

from imaxray.derive import About, DeriveConfig, Fact, Habits, Known, derive_dataset, derive_tables
from imaxray.derive.facts.fact import question
from imaxray.derive.rules.chosen import chosen_rules
from imaxray.derive.rules.own_rules import read_own_rules
from imaxray.errors import ImaxrayError

FILE = """
rules:
  - name: large-heart
    says: A ratio above 0.6 with a report of a large heart is a severe finding.
    when:
      - {measurement: ctr, above: 0.6}
      - {report: large heart}
      - {label: Edema, is: absent}
      - {grade: edema, at-most: 1}
      - {question: "Is there a device?", answer: "no"}
      - {region: (left|right) lung}
    views: PA
    then:
      - {label: Enlarged Cardiomediastinum}
      - {grade: 0}
      - {question: "How large is the heart?", answer: very large}
"""
FACTS = [
    Fact("measurement", "ctr", 0.65), Fact("report", "findings", text="A LARGE HEART."),
    Fact("label", "Edema", 0.0), Fact("grade", "edema", 1.0),
    question("Is there a device?", ("No",)),
    Fact("rec", text="left lung", boxes=((0.0, 0.0, 1.0, 1.0),)),
]  # fmt: skip


@pytest.fixture
def rule(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(FILE)
    (own,), builtin = read_own_rules(path)
    assert builtin
    return own.rule()


def concluded(rule, facts, view="PA"):
    return [c.fact for c in rule.conclude(Known(About("a/1", view), facts), Habits())]


def test_all_conclusions_follow_if_all_conditions_hold(rule):
    assert concluded(rule, FACTS) == [
        Fact("label", "Enlarged Cardiomediastinum", 1.0),
        Fact("grade", "edema", 0.0),
        question("How large is the heart?", ("very large",), closed=False),
    ]
    assert set(rule.reads) == {"measurement", "report", "label", "grade", "qa", "rec", "reg"}
    assert rule.makes == ("grade", "label", "qa")


@pytest.mark.parametrize("missing", range(len(FACTS)))
def test_nothing_follows_without_one_condition(rule, missing):
    assert concluded(rule, [f for k, f in enumerate(FACTS) if k != missing]) == []


def test_nothing_follows_for_another_view(rule):
    assert concluded(rule, FACTS, "AP") == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{label: Edma}", "did you mean Edema"),
        ("{measurement: ctr}", "need below, at-most, above"),
        ("{label: Edema, above: 1}", "need below, at-most, above"),
        ("{label: Edema, report: x}", "exactly one of label, measurement"),
        ("{question: x}", "needs answer"),
        ("{report: x, is: absent}", "is belongs to label"),
        ("{report: '('}", "no regular expression"),
        ("{lable: Edema}", "did you mean `label`"),
    ],
)
def test_a_wrong_condition_is_one_sentence(tmp_path, wrong, said):
    path = tmp_path / "rules.yaml"
    text = f"rules:\n  - {{name: x, says: y, when: [{wrong}], then: [{{grade: 0}}]}}\n"
    path.write_text(text)
    with pytest.raises(ImaxrayError, match=said):
        read_own_rules(path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("when: [{report: ''}], then: [{grade: 0}]", "at least 1 character"),
        ("when: [{region: ' '}], then: [{grade: 0}]", "at least 1 character"),
        ("when: [{question: ' ', answer: a}], then: [{grade: 0}]", "at least 1 character"),
        ("when: [{question: x, answer: ' '}], then: [{grade: 0}]", "at least 1 character"),
        ("when: [{grade: edema, equals: 0}], then: [{question: x, answer: ''}]", "at least 1"),
        ("when: [{grade: edema, equals: 0}], then: [{question: x, answer: [a, ' ']}]", "at least"),
        ("views: [], when: [{report: x}], then: [{grade: 0}]", "at least 1 item"),
        ("views: frntal, when: [{report: x}], then: [{grade: 0}]", "did you mean FRONTAL"),
        ("views: [PA, sagittal], when: [{report: x}], then: [{grade: 0}]", "unknown view sagittal"),
        ("views: unknown, when: [{report: x}], then: [{grade: 0}]", "unknown view unknown"),
    ],
)
def test_blank_texts_and_unknown_views_are_refused(tmp_path, wrong, said):
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules:\n  - {{name: x, says: y, {wrong}}}\n")
    with pytest.raises(ImaxrayError, match=said):
        read_own_rules(path)


@pytest.mark.parametrize("view", ["pa", "PA", "Posteroanterior", "[AP, pa]"])
def test_a_view_may_be_written_as_releases_write_it(tmp_path, view):
    path = tmp_path / "rules.yaml"
    path.write_text(FILE.replace("views: PA", f"views: {view}"))
    ((own,), _) = read_own_rules(path)
    assert concluded(own.rule(), FACTS) and not concluded(own.rule(), FACTS, "LATERAL")


@pytest.mark.parametrize(
    ("written", "answers", "closed"),
    [
        ("'Yes'", ("yes",), True),
        ("yes", ("yes",), True),
        ("No", ("no",), True),
        ("' NO. '", ("no",), True),
        ("[no]", ("no",), True),
        ("'Left lung'", ("Left lung",), False),
        ("[yes, left lung]", ("yes", "left lung"), False),
        ("[]", (), False),  # none of what is asked for
    ],
)
def test_an_answer_is_closed_however_yes_or_no_is_written(tmp_path, written, answers, closed):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - {name: x, says: y, when: [{grade: edema, equals: 0}], "
        f"then: [{{question: 'Is it so?', answer: {written}}}]}}\n"
    )
    ((own,), _) = read_own_rules(path)
    assert concluded(own.rule(), [Fact("grade", "edema", 0.0)]) == [
        question("Is it so?", answers, closed=closed)
    ]


def test_a_condition_reads_a_bare_no_as_the_answer_no(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(FILE.replace('answer: "no"', "answer: no"))
    ((own,), _) = read_own_rules(path)
    assert concluded(own.rule(), FACTS)


def test_two_rules_of_one_name_are_refused(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(FILE + FILE.replace("\nrules:\n", ""))
    with pytest.raises(ImaxrayError, match="large-heart comes twice"):
        read_own_rules(path)


def test_a_file_can_replace_and_leave_out_built_in_rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "builtin: false\nrules:\n  - name: label-grade\n    says: s\n"
        "    when: [{label: Edema, is: absent}]\n    then: [{grade: 0}]\n"
    )
    (only,) = chosen_rules(DeriveConfig(rules=path))
    assert only.name == "label-grade" and only.scope == "file of the user"


def test_rules_of_a_file_make_entries_and_are_in_the_manifest(dmax, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - name: mine\n    says: s\n    kind: exact\n"
        "    when: [{measurement: ctr, above: 0.1}]\n"
        "    then: [{question: 'Is the heart visible?', answer: 'yes'}]\n"
    )
    done = derive_dataset(dmax.folder, tmp_path / "out", DeriveConfig(rules=path)).dataset
    made = done.tables.entries.filter(pl.col("quality") == "derived/mine")
    assert made.height and set(made["target"]) == {"yes"}
    assert done.manifest["config"]["own_rules"][0]["name"] == "mine"
    assert str(tmp_path) not in (done.folder / "manifest.json").read_text()


PLUGIN = """
from imaxray.derive import Conclusion, DerivationRule, Fact


def conclude(known, habits):
    for fact in known.of("report", "findings"):
        BODY


RULE = DerivationRule(
    name="house", says="s", reads=("report",), makes=("label",), kind="calibrated", source="us",
    conclude=conclude,
)
"""
GOOD = 'yield Conclusion(Fact("label", "Hernia", 0.0), (fact,))'


@pytest.fixture
def package(tmp_path, monkeypatch):
    def install(body, point="house = house_rules:RULE"):
        site = tmp_path / "site"
        info = site / "house-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "house_rules.py").write_text(PLUGIN.replace("BODY", body))
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[imaxray.derivations]\n{point}\n")
        monkeypatch.syspath_prepend(site)

    yield install
    import sys

    sys.modules.pop("house_rules", None)


def test_a_package_can_add_a_rule(dmax, package):
    package(GOOD)
    made = derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)
    facts = made.rendered.annotations.filter(pl.col("name") == "Hernia")
    assert facts.height and set(facts["quality"].cast(pl.String)) == {"house"}


@pytest.mark.parametrize(
    ("body", "point", "said"),
    [
        ("raise KeyError('x')", "house = house_rules:RULE", r"its conclusions failed \(KeyError"),
        ("yield fact", "house = house_rules:RULE", "concludes a Fact and no Conclusion"),
        (GOOD, "home = house_rules:RULE", "its name is house"),
        (GOOD, "house = house_rules:conclude", "it is no imaxray.derive.DerivationRule"),
    ],
)
def test_a_broken_package_is_one_sentence(dmax, package, body, point, said):
    package(body, point)
    with pytest.raises(ImaxrayError, match=said):
        derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)
