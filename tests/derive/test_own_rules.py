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
      - {label: Pneumonia, is: uncertain}
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
        Fact("label", "Pneumonia", -1.0),
        question("How large is the heart?", ("very large",), closed=False),
    ]
    assert set(rule.reads) == {"measurement", "report", "label", "grade", "qa", "rec", "reg"}
    assert rule.makes == ("label", "qa")


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
        ("when: [{report: x}], then: [{question: 'What is <box>?', answer: a}]", "name a box"),
        ("when: [{report: x}], then: [{question: a, answer: <box>}]", "name a box"),
        ("when: [{report: x}], then: [{grade: true}]", "a grade is a number"),
        ("when: [{measurement: ctr, above: 0.6, below: 0.5}], then: [{grade: 0}]", "no number is"),
        ("when: [{measurement: ctr, above: 1}], then: [{grade: 0}]", "no number is within"),
        ("when: [{grade: edema, at-least: 4}], then: [{label: Edema}]", "no number is within"),
        # no fact follows from itself, and no rule contradicts itself
        ("when: [{label: Edema}], then: [{label: Edema}]", "Edema follows from itself"),
        ("when: [{label: Edema}], then: [{label: Edema, is: absent}]", "Edema follows from itself"),
        ("when: [{grade: edema, equals: 1}], then: [{grade: 2}]", "grade of edema follows from"),
        ('when: [{question: "a?", answer: b}], then: [{question: A, answer: c}]', "A follows from"),
        ("when: [{report: x}], then: [{label: Edema}, {label: Edema, is: absent}]", "twice"),
        (
            'when: [{report: x}], then: [{question: q, answer: a}, {question: "q?", answer: b}]',
            "twice",
        ),
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


@pytest.mark.parametrize("state", ["on", "off", "if-measured", "'on'", "'off'"])
def test_a_state_may_be_written_without_quotes(tmp_path, state):
    path = tmp_path / "rules.yaml"
    path.write_text(
        f"rules:\n  - {{name: x, says: y, default: {state}, when: [{{report: x}}], "
        "then: [{label: Edema}]}\n"
    )
    ((own,), _) = read_own_rules(path)
    assert own.default == state.strip("'")


def test_questions_and_answers_are_on_one_line_and_an_answer_may_be_a_number(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - {name: x, says: y, when: [{report: x}], "
        'then: [{question: "How\\n many?", answer: [3, "a\\n b", A b]}]}\n'
    )
    ((own,), _) = read_own_rules(path)
    assert own.then[0].fact() == question("How many?", ("3", "a b"), closed=False)


def test_an_expression_that_takes_for_ever_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("imaxray.derive.rules.own_rules._MOST_SECONDS", 0.2)
    (tmp_path / "rules.yaml").write_text(
        "rules:\n- {name: slow, says: s, when: [{report: '(a+)+b'}], then: [{label: Edema}]}\n"
    )
    (own,), _ = read_own_rules(tmp_path / "rules.yaml")
    with pytest.raises(ImaxrayError, match=r"regular expression .*\(a\+\)\+b takes longer"):
        own.when[0].facts(
            Known(About("i", "PA", (1, 1)), [Fact("report", "findings", text="a" * 60)])
        )


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


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ('Fact("lable", "Hernia", 0.0)', "a fact of the kind 'lable'"),
        ('Fact("label", "Hernja", 0.0)', "the label 'Hernja'"),
        ('Fact("label", "Hernia", float("nan"))', "with the value nan"),
        ('Fact("label", "Hernia", 7.0)', "with the value 7.0"),
        ('Fact("label", "Hernia")', "with the value None"),
        ('Fact("measurement", "ctr", 3.0)', "a ratio of 3.0"),
        ('Fact("measurement", "width", 0.3)', "the measurement 'width'"),
        ('Fact("grade", "edema", 9.0)', "the grade 9.0"),
        ('Fact("grade", "edema", 0.5)', "the grade 0.5"),
        ('Fact("report", "history", text="x")', "a section 'history'"),
        ('Fact("findings", "list")', "a list of findings without labels"),
        ('Fact("findings", "list", labels=(("Hernja", 1),))', "the label 'Hernja'"),
        ('Fact("qa", value=1.0, text="Is it?", answers="no")', "answers 'no'"),
        ('Fact("qa", value=1.0, text=" ", answers=("no",))', "which is empty"),
        ('Fact("qa", value=1.0, text="What is <box>?", answers=("no",))', "names a box"),
        ('Fact("rec", text="hernia", boxes=((-5.0, 0.0, 9.0, 9.0),))', "within the image"),
        ('Fact("rec", text="hernia", boxes=((0.0, 0.0, 1e6, 9.0),))', "within the image"),
        ('Fact("rec", text="hernia", boxes=((9.0, 9.0, 1.0, 1.0),))', "within the image"),
        ('Fact("rec", text="hernia", boxes=((1.0, 2.0, 3.0),))', "within the image"),
        ('Fact("rec", text="hernia", boxes=[[1.0, 2.0, 3.0, 4.0]])', "within the image"),
        ('Fact("rec", text="hernia")', "within the image"),
        ('Fact("grade", "edema", 0.0)', "its `makes` names only label"),
    ],
)
def test_what_no_entry_can_state_is_one_sentence(dmax, package, fact, said):
    package(f"yield Conclusion({fact}, (fact,))")
    with pytest.raises(ImaxrayError, match=f"package house, but it concludes .*{said}"):
        derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)


def test_a_premise_may_be_a_copy_of_a_known_fact(dmax, package):
    copy = "Fact('report', 'findings', text=fact.text)"
    package(f"yield Conclusion(Fact('label', 'Hernia', 0.0), ({copy},))")
    made = derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)
    assert "house" in set(made.rendered.annotations["quality"].cast(pl.String))


def test_a_premise_that_is_not_known_is_one_sentence(dmax, package):
    package("yield Conclusion(Fact('label', 'Hernia', 0.0), (Fact('label', 'Mass', 1.0),))")
    with pytest.raises(ImaxrayError, match="a premise that is not known"):
        derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind="calibrated"', 'kind="sure"', "its kind is 'sure'"),
        ('kind="calibrated"', 'kind="exact", default="maybe"', "its default is 'maybe'"),
        ('makes=("label",)', 'makes="label"', "its makes is 'label'"),
    ],
)
def test_a_rule_that_is_not_complete_is_one_sentence(dmax, package, monkeypatch, old, new, said):
    assert old in PLUGIN
    monkeypatch.setitem(globals(), "PLUGIN", PLUGIN.replace(old, new))
    package(GOOD)
    with pytest.raises(ImaxrayError, match=said):
        derive_tables(dmax.tables, DeriveConfig(), clinical=dmax.clinical)


def test_rules_of_packages_are_not_built_in(dmax, package, tmp_path):
    package(GOOD)
    path = tmp_path / "rules.yaml"
    path.write_text("rules: []\nbuiltin: false\n")
    assert [rule.name for rule in chosen_rules(DeriveConfig(rules=path))] == ["house"]
