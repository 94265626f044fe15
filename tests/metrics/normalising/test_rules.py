"""Tests the rules by which answers are made comparable, on the rows of a golden table."""

import csv
import re
import string
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imaxray.metrics import exact, normalise, squad, token_f1, token_recall
from imaxray.metrics.normalising import CLOSED_ONLY, RULES
from imaxray.metrics.normalising.words import BRITISH, NOUNS, PREFIXES
from imaxray.tasks import get_task

TABLE = Path(__file__).parents[1] / "golden_normalise.csv"


def rows():
    """Rule, type of the answer, gold, answer, and the score under each normalisation."""
    with TABLE.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def rule_of(row):
    return row["rule"].partition(":")[0]


def scored(row, normalisation):
    """The score of the task that has such answers: VQA (closed, open) or REG (phrase)."""
    if row["type"] == "phrase":
        metric, gold = get_task("reg").primary, [row["gold"]]
    else:
        metric = get_task("vqa").primary
        gold = {"closed": row["type"] == "closed", "answers": [row["gold"]]}
    answer = row["answer"] if row["type"] == "phrase" else row["answer"].lower()
    return metric.under(normalisation)([gold], [answer])


@pytest.mark.parametrize("row", rows(), ids=lambda r: f"{r['rule']}-{r['gold']}-{r['answer']}")
def test_golden(row):
    for name in ("radiology", "squad"):
        assert scored(row, name) == pytest.approx(float(row[name]), abs=1e-5), name


def test_the_table_is_large_and_has_rows_of_every_rule():
    counts = Counter(map(rule_of, rows()))
    assert sum(counts.values()) >= 150
    assert set(counts) == {*RULES, "metric"} and min(counts[rule] for rule in RULES) >= 3
    assert {row["type"] for row in rows()} == {"closed", "open", "phrase"}
    keys = [(r["type"], r["gold"], r["answer"]) for r in rows()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed_by_a_row_of_its_own(rule, monkeypatch):
    of_rule = [row for row in rows() if rule_of(row) == rule]
    monkeypatch.delitem(RULES, rule)
    normalise.cache_clear()
    try:
        changed = [r for r in of_rule if abs(scored(r, "radiology") - float(r["radiology"])) > 1e-5]
    finally:
        normalise.cache_clear()
    assert changed


def test_equal_answers_are_equal_both_ways():
    for row in rows():
        if row["type"] == "phrase" and row["radiology"] in ("0", "1"):
            assert token_f1(row["answer"], row["gold"]) == float(row["radiology"])


def old_squad(text):
    """SQuAD's rule as it was written here before there were rules of our own."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def old_overlap(gold, answer):
    asked, given_ = Counter(old_squad(gold).split()), Counter(old_squad(answer).split())
    if not asked and not given_:
        return 1.0, 1.0
    hit = (asked & given_).total()
    return (
        2 * hit / (asked.total() + given_.total()),
        hit / asked.total() if asked.total() else 0.0,
    )


PIECES = """
a an the and or grade stage type option I II iv 1 2 1.5 1,5 1,500 .5 0 -1 - + ± +/- < > <= % cm mm
cm2 mmhg per cent percent to by x / : .. between from minus less than at least one two twenty
hundred point first third half thirds march may 2020 12 03 2020-03-12 12.03.2020 3/4 non sub peri
haem oedema tumours xray ray rays 's ' ( ) , . _ ½ ² ° µ right-sided T-12 i ii a.p. b no more up
plus of 3rd year old effusions deg g min 10..20mm
""".split()  # noqa: SIM905 - shorter than a list
JOINED = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "", "-", " - ", ", "])), max_size=9
).map(lambda parts: "".join(piece + gap for piece, gap in parts))
TEXT = st.one_of(JOINED, st.text(max_size=30), st.text("0123456789.,-+±x/ :cm%ab<>=", max_size=20))
TYPE = st.sampled_from(["open", "closed"])


@settings(max_examples=400, deadline=None)
@given(TEXT, TYPE)
@example("-5 to -3", "open")
@example("a b", "open")
@example("1.2.3,4", "closed")
def test_a_normal_form_is_its_own(text, answer_type):
    found = normalise(text, answer_type)
    assert normalise(found, answer_type) == found
    assert squad(squad(text)) == squad(text)


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT)
def test_scores_are_symmetric_and_agree_with_equality(one, other):
    assert token_f1(one, other) == token_f1(other, one)
    assert 0 <= token_f1(one, other) <= 1 and 0 <= token_recall(one, other) <= 1
    assert token_f1(one, one) == exact(one, one) == 1
    if exact(one, other) == 1:
        assert token_f1(one, other) == 1 == token_f1(other, one)
    for text in (one, other):  # a text scores as its normal form does
        assert exact(text, normalise(text)) == 1


@settings(max_examples=400, deadline=None)
@given(TEXT, TEXT)
def test_squad_is_the_old_rule_to_the_digit(gold, answer):
    assert normalise(gold, normalisation="squad") == squad(gold) == old_squad(gold)
    f1, recall = old_overlap(gold, answer)
    assert token_f1(gold, answer, "squad") == f1
    assert token_recall(gold, answer, "squad") == recall
    assert exact(gold, answer, "squad") == float(old_squad(gold) == old_squad(answer))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**30), st.integers(0, 6))
def test_units_convert_without_rounding(digits, power):
    number = f"{digits // 10**power}.{digits % 10**power:0{power}d}" if power else str(digits)
    moved = digits * 10
    tenfold = f"{moved // 10**power}.{moved % 10**power:0{power}d}" if power else str(moved)
    assert normalise(f"{number} cm") == normalise(f"{tenfold} mm")


def test_words_alone_are_kept():
    """No rule changes plain words that are in no table."""
    for text in ("atelectasis", "pelvis", "lens", "left lower lobe", "no pleural effusion", "iv",
                 "i think so", "noise", "rise", "precise", "hour", "four chambered"):  # fmt: skip
        expected = {"four chambered": "4 chambered"}.get(text, text)
        assert normalise(text) == expected


def test_tables_have_no_doubles_and_their_words_are_their_own_form():
    assert len(set(NOUNS)) == len(NOUNS) and len(set(PREFIXES)) == len(PREFIXES)
    assert len({british for british, _ in BRITISH}) == len(BRITISH)
    for noun in NOUNS:
        assert normalise(noun) == noun
    assert set(RULES) >= CLOSED_ONLY


@pytest.mark.parametrize(
    "loop",
    ["There is a small left effusion. ", "1 ", "1.", "1-", "1,", "1/", "1 x ", "1 cm x ", "a.",
     "a-", "a ", "  ", "\n", "type i, ", "twenty ", "one hundred ", "non ", "12 march ", "minus ",
     "less than ", "'s", "±", "..", "from 1 to ", "between 1 and ", "0"],
)  # fmt: skip
def test_the_time_is_in_proportion_to_the_text(loop):
    text = loop * (63_000 // len(loop)) + "!q1a"
    start = time.perf_counter()
    normalise(text, "closed")
    assert time.perf_counter() - start < 15  # a square would take minutes
