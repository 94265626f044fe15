"""Tests for any facts: derivation is idempotent, order-free, monotone and never contradicts."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imaxray.clinical import DEFAULT_RULES, answered
from imaxray.derive import About, Fact, Habits, derive_facts
from imaxray.derive.facts.conflicts import contradictions
from imaxray.derive.facts.fact import labels_fact, question
from imaxray.derive.facts.questions import Questions
from imaxray.derive.rules.builtin import BUILT_IN

LABELS = ("Cardiomegaly", "Edema", "Lung Lesion", "Pleural Effusion")
NAMES = {"Cardiomegaly": "cardiomegaly", "Edema": "edema", "Lung Lesion": "lung nodule",
         "Pleural Effusion": "pleural effusion"}  # fmt: skip
HABITS = Habits(
    questions=Questions(names=NAMES, listed=NAMES), usual=frozenset(LABELS),
    views=frozenset({"PA", "AP"}),
)  # fmt: skip
ABOUT = About("a/1", "PA", (100, 100))
BOX = st.sampled_from([(5.0, 5.0, 40.0, 90.0), (55.0, 5.0, 95.0, 90.0), (30.0, 50.0, 70.0, 90.0)])
PHRASES = ("left lung", "right lung", "cardiac silhouette", "left pleural effusion", "lung nodule",
           "enlarged heart")  # fmt: skip
QUESTIONS = (
    *(f"Is there {name}?" for name in NAMES.values()),
    *(f"Is there {name} in the left lung?" for name in NAMES.values()),
    "Is the width of the cardiac silhouette wider than 1/2 of the thorax width?",
)
TEXTS = ("No edema.", "The heart is enlarged.", "Small left pleural effusion.", "Lung nodule.",
         "Interstitial edema.", "Possible pleural effusion.", "No acute process.",
         "The heart size is normal.")  # fmt: skip

FACTS = st.one_of(
    st.builds(lambda v: Fact("measurement", "ctr", v), st.sampled_from([0.3, 0.48, 0.52, 0.7])),
    st.builds(lambda v: Fact("grade", "edema", float(v)), st.integers(0, 3)),
    st.builds(lambda n, v: Fact("label", n, float(v)), st.sampled_from(LABELS), st.integers(-1, 1)),
    st.builds(labels_fact, st.dictionaries(st.sampled_from(LABELS), st.integers(-1, 1),
                                           min_size=1)),
    st.builds(lambda t: Fact("report", "findings", text=" ".join(t)),
              st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)),
    st.builds(lambda t, b: Fact("rec", text=t, boxes=(b,)), st.sampled_from(PHRASES), BOX),
    st.builds(lambda t, b: Fact("reg", text=t, boxes=(b,)), st.sampled_from(PHRASES), BOX),
    st.builds(lambda t, a: question(t, (a,)), st.sampled_from(QUESTIONS),
              st.sampled_from(["yes", "no"])),
    st.builds(lambda a: question("What abnormalities are seen in this image?", tuple(a),
                                 closed=False),
              st.lists(st.sampled_from(sorted(NAMES.values())), unique=True)),
)  # fmt: skip
STATED = st.lists(FACTS, max_size=5).map(
    lambda facts: [(fact, f"e{k}") for k, fact in enumerate(facts)]
)


def derived(stated, rules=BUILT_IN):
    return derive_facts(ABOUT, stated, rules, HABITS)


@settings(max_examples=60, deadline=None)
@given(STATED, st.randoms())
def test_the_order_of_facts_and_of_rules_does_not_matter(stated, random):
    first = derived(stated)
    # equal facts are new objects, because rules must not depend on identity either
    again = [(replace(fact), entry) for fact, entry in stated]
    random.shuffle(again)
    rules = list(BUILT_IN)
    random.shuffle(rules)
    second = derived(again, rules)
    assert first.derived == second.derived
    assert first.contradicted == second.contradicted and first.disputed == second.disputed


@settings(max_examples=60, deadline=None)
@given(STATED)
def test_nothing_new_follows_from_the_result(stated):
    first = derived(stated)
    if first.contradicted or first.disputed:
        return  # what was contradicted follows again
    more = [(d.fact, f"d{k}") for k, d in enumerate(first.derived)]
    assert derived([*stated, *more]).derived == []


@settings(max_examples=80, deadline=None)
@given(STATED, FACTS)
def test_another_fact_takes_nothing_away_unless_it_contradicts(stated, fact):
    # the sections of a report are read as one statement: one may say that nothing is found
    assume(fact.kind != "report" or all(other.kind != "report" for other, _ in stated))
    less, more = derived(stated), derived([*stated, (fact, "new")])
    if more.contradicted or more.disputed:
        return
    known = {d.fact.asks for d in more.derived} | {f.asks for f, _ in [*stated, (fact, "new")]}
    assert {d.fact.asks for d in less.derived} <= known


@settings(max_examples=120, deadline=None)
@given(STATED)
def test_no_derived_fact_contradicts_an_entry_or_another(stated):
    outcome = derived(stated)
    made, human = [d.fact for d in outcome.derived], [fact for fact, _ in stated]
    assert contradictions(made, human) == {}
    assert {f.subject for f in made}.isdisjoint({f.subject for f in human})
    labels = {f.name: f.value for f in made if f.kind == "label"}
    for fact in human:
        if fact.kind == "measurement":
            rule = DEFAULT_RULES["ctr-cardiomegaly"]
            assert not rule.contradicts(fact.value, labels.get("Cardiomegaly"))
        elif fact.kind == "grade":
            assert not DEFAULT_RULES["edema-grade-label"].contradicts(
                fact.value, labels.get("Edema")
            )
        elif fact.kind == "qa" and len(fact.answers) == 1:
            said = answered(fact.text, fact.answers[0])
            assert said is None or labels.get(said[0]) in (None, -1.0, float(said[1]))
        elif fact.kind == "findings":
            for name, value in fact.labels:
                assert {labels.get(name), float(value)} != {0.0, 1.0}


@settings(max_examples=60, deadline=None)
@given(STATED)
def test_provenance_leads_to_entries(stated):
    ids = {entry for _, entry in stated}
    for derivation in derived(stated).derived:
        assert set(derivation.entries) <= ids and derivation.depth >= 1
        assert derivation.entries or derivation.rule == "view-question"
        # the entries alone suffice for the fact, unless they contradict each other
        alone = derived([pair for pair in stated if pair[1] in derivation.entries])
        if not (alone.contradicted or alone.disputed):
            assert derivation.fact.asks in {d.fact.asks for d in alone.derived}


def test_a_fact_that_makes_way_for_one_that_contradicts_an_entry():
    """The list that follows when another one is dropped is compared with the entries, too."""
    stated = [
        (Fact(kind="grade", name="edema", value=2.0), "e0"),
        (Fact(kind="report", name="findings", text="No edema."), "e1"),
        (
            Fact(kind="qa", name="", value=0.0, text="What abnormalities are seen in this image?"),
            "e2",
        ),
    ]
    outcome = derived(stated)
    assert contradictions([d.fact for d in outcome.derived], [fact for fact, _ in stated]) == {}
