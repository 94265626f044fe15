"""Tests the sections of reports: MIT-LCP's rules, and the headings that these rules miss."""

import json
from pathlib import Path

import pytest

from imaxray.sources._shared.sections.report_sections import (
    findings_and_impression,
    report_texts,
    split_sections,
)
from imaxray.sources._shared.sections.section_exceptions import section_exceptions
from imaxray.sources._shared.sections.section_names import (
    KNOWN,
    LEAST_LETTERS,
    any_section,
    known_section,
)

GOLDEN = Path(__file__).with_name("golden_sections.jsonl")


def last(text, name):
    return [section.text for section in split_sections(text) if section.name == name][-1]


# written as lines, for the rules rest on the single leading space that editors strip
REPORT = "\n".join(
    [
        " " * 33 + "FINAL REPORT",
        " EXAMINATION:  CHEST (PA AND LAT)",
        " ",
        " INDICATION:  ___ year old man with cough.",
        " ",
        " FINDINGS: ",
        " ",
        " The heart is mildly enlarged.  No pleural",
        " effusion.",
        " ",
        " IMPRESSION: ",
        " ",
        " Mild cardiomegaly.",
        "",
    ]
)


def test_findings_and_impression_as_published():
    assert findings_and_impression(REPORT) == {
        "findings": "The heart is mildly enlarged.  No pleural\n effusion.",
        "impression": "Mild cardiomegaly.",
    }


def test_names_are_normalised_and_the_last_section_counts():
    text = " \n CONCLUSION: First.\n \n IMPRESSION: Second.\n"
    assert last(text, "impression") == "Second."


def test_the_last_section_counts_whatever_the_form_of_its_heading():
    text = "x\n  FINDINGS: indented twice\n Findings: lower case\n FINDINGS: real\n"
    assert last(text, "findings") == "real"


def test_without_findings_or_impression_the_last_paragraph_counts():
    text = " EXAMINATION: CHEST\n \n The lungs are clear.\n"
    assert findings_and_impression("\n" + text) == {"findings": "The lungs are clear."}


def test_empty_sections_are_no_sections():
    assert findings_and_impression("\n FINDINGS: \n \n IMPRESSION: \n ") == {}


def test_an_addendum_on_top_does_not_replace_the_report():
    text = " ADDENDUM: \n \n Discussed by telephone.\n" + "_" * 78 + "\n" + REPORT
    assert findings_and_impression(text)["impression"] == "Mild cardiomegaly."


ROWS = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


def test_the_golden_table_is_large_enough():
    assert len({row["report"] for row in ROWS}) == len(ROWS) >= 80


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["kind"])
def test_golden_sections(row):
    wanted = {name: row[name] for name in ("findings", "impression", "unknown") if row[name]}
    assert {section.name: section.text for section in report_texts(row["report"])} == wanted


@pytest.mark.parametrize(
    ("report", "how"),
    [
        ("\n IMPRESSION: Normal.", "report"),
        ("IMPRESSION: Normal.", "report-unusual-heading"),
        ("\n IMPRESION: Normal.", "report-misspelt-heading"),
        ("\n EXAMINATION: Chest.\n \n Normal.", "report-last-paragraph"),
        ("The chest is normal.", "report-no-heading"),
    ],
)
def test_each_section_says_how_its_heading_was_read(report, how):
    assert [section.how for section in report_texts(report)] == [how]


@pytest.mark.parametrize("known", sorted(n for n in KNOWN if len(n) >= LEAST_LETTERS))
def test_one_letter_off_is_the_same_section_or_unknown(known):
    for k in range(len(known) - 1):
        shorter = known[:k] + known[k + 1 :]
        swapped = known[:k] + known[k + 1] + known[k] + known[k + 2 :]
        longer = known[:k] + "q" + known[k:]
        for wrong in (shorter, swapped, longer):
            found = known_section(wrong.upper())
            assert found is None or found[0] == KNOWN[known]
    assert known_section(known + "qq") is None


@pytest.mark.parametrize("head", ["VIEW", "EXAMS", "TEXTS", "COMPRESSION", "LUNGS", "REPORTED"])
def test_other_words_are_no_misspelt_headings(head):
    assert known_section(head) is None


def test_a_head_of_organs_starts_no_section():
    assert any_section("LUNGS AND PLEURA") is None
    assert any_section("SOMETHING ELSE") == ("something else", False)


def test_the_exceptions_of_mit_lcp():
    table = section_exceptions()
    assert len(table) == 54
    named, span, nothing = (table[s] for s in ("s50913680", "s50196495", "s58235663"))
    report = "\n FINDINGS: See below.\n \n RECOMMENDATIONS: The lungs are clear.\n"
    assert [(s.name, s.text, s.how) for s in named.texts(report)] == [
        ("findings", "The lungs are clear.", "report-exception")
    ]
    assert named.texts("\n FINDINGS: No such section.\n") is None
    (section,) = span.texts("x" * 59 + "The heart is large." + " " * 321 + "y")
    assert section.text == "The heart is large."
    assert nothing.texts("anything") == []
