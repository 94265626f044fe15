"""Tests the cleaning of reports: each step, their order, and that the raw text is kept."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.curation.text.cleaning import (
    STEPS,
    CleaningConfig,
    as_decision,
    clean_reports,
    clean_text,
)
from imaxray.schema import ANNOTATIONS, IMAGES, SOURCE_ANNOTATIONS, conform
from imaxray.tasks import make_entries


def clean(text, *steps):
    config = CleaningConfig(steps=steps) if steps else CleaningConfig()
    return clean_text(pl.Series([text]), config).item()


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("lines", "No pleural\n effusion.\n \n Heart big.", "No pleural effusion. Heart big."),
        ("addenda", "Clear lungs.\n " + "_" * 60 + "\n FINAL REPORT", "Clear lungs."),
        ("addenda", "Clear lungs.\n\nADDENDUM: Discussed.\n\nMore.", "Clear lungs.\n\nMore."),
        ("addenda", "No addendum needed.", "No addendum needed."),
        ("deidentification", "Seen by Dr. ___ on XXXX [**2101-1-1**]. Clear.", "Clear."),
        ("deidentification", "XXL catheter", "XXL catheter"),
        ("comparisons", "Heart is large. Effusion unchanged from prior. No edema.",
         "Heart is large. No edema."),
        ("notifications", "Pneumothorax. Dr. A was paged. Line in place.",
         "Pneumothorax. Dr. Line in place."),
        ("enumeration", "1. Edema. 2. Effusion measuring 3.5 cm.",
         "Edema.\nEffusion measuring 3.5 cm."),
        ("enumeration", "- No edema\n- Effusion", "No edema.\nEffusion"),
        ("enumeration", "1) Edema.\n2) Effusion.", "Edema.\nEffusion."),
        ("spaces", " The  heart , enlarged .", "The heart, enlarged."),
    ],
)  # fmt: skip
def test_a_step_does_its_own_work_only(step, text, expected):
    assert clean(text, step) == expected


def test_the_default_reads_as_a_text():
    text = "1. Mild edema, compared\n to ___.\n \n 2. No effusion ."
    assert clean(text) == "Mild edema. No effusion."


def test_the_order_of_naming_does_not_matter():
    text = "1. Edema.\n ___  2. Effusion ."
    assert clean(text, *STEPS) == clean(text, *reversed(STEPS))


def test_no_step_changes_nothing():
    assert clean_text(pl.Series([" a\n___ "]), CleaningConfig(steps=())).item() == " a\n___ "


@given(st.text(alphabet="ab .,\n_1X", max_size=60))
def test_cleaning_twice_is_cleaning_once_but_for_lists(text):
    steps = ("addenda", "lines", "deidentification", "spaces")
    once = clean(text, *steps)
    assert clean(once, *steps) == once


def test_raw_is_kept_where_text_changed_and_nothing_else_is_touched():
    frame = conform(
        pl.DataFrame(
            {
                "study_id": ["s1", "s2", "s3", "s4"],
                "kind": ["report", "report", "report", "label"],
                "name": ["findings", "impression", "findings", "Edema"],
                "text": ["Clear\n lungs.", "Normal.", "___", None],
                "source": "x", "file": "f", "row": [1, 2, 3, 4],
                "origin": "human",
            }
        ),
        SOURCE_ANNOTATIONS,
    )  # fmt: skip
    kept, rejects, _ = clean_reports(frame, CleaningConfig())
    by_row = {row["row"]: row for row in kept.iter_rows(named=True)}
    assert (by_row[1]["text"], by_row[1]["raw"]) == ("Clear lungs.", "Clear\n lungs.")
    assert (by_row[2]["text"], by_row[2]["raw"]) == ("Normal.", None)
    assert by_row[4]["text"] is None and 3 not in by_row
    assert rejects.select("row", "code", "key").rows() == [(3, "empty-text", "s3")]


@pytest.mark.parametrize("steps", [STEPS, CleaningConfig().steps])
@pytest.mark.parametrize("gaps", ["rule", "keep", "remove"])
@given(text=st.text(alphabet="No edema.,;:()1X_-\n", max_size=60))
def test_no_orphan_punctuation_is_left(steps, gaps, text):
    plain = clean_text(pl.Series([text]), CleaningConfig(steps=steps, gaps=gaps)).item()
    assert ".." not in plain and "\n" not in plain
    assert not re.search(r"[,;:]\s*[.,;:](?!\d)|\s[,;:)]|\(\s*\)", plain)


def reports(*rows):
    table = [
        {"study_id": f"s{n}", "kind": "report", "name": name, "text": text, "quality": quality,
         "source": "x", "file": "f", "row": n, "origin": "human"}
        for n, (name, text, quality) in enumerate(rows, start=1)
    ]  # fmt: skip
    return conform(pl.DataFrame(table), SOURCE_ANNOTATIONS)


ROWS = reports(
    ("unknown", "Clear.", "report-no-heading"),
    ("findings", "No XXXX edema. There is a XXXX mass.", "report"),
    ("impression", "Mass.", "report"),
)


@pytest.mark.parametrize("section", ["leave-out", "findings", "impression"])
def test_text_of_an_unknown_section_is_used_by_choice_only(section):
    kept, rejects, _ = clean_reports(ROWS, CleaningConfig(unknown_section=section))
    named = dict(kept.select("row", pl.col("name").cast(pl.String)).iter_rows())
    assert named[1] == ("unknown" if section == "leave-out" else section)
    assert (named[2], named[3]) == ("findings", "impression") and rejects.is_empty()
    images = conform(pl.DataFrame({"image_id": ["i"], "split": ["train"]}), IMAGES)
    facts = kept.filter(pl.col("row") == 1).drop("study_id").with_columns(image_id=pl.lit("i"))
    entries = make_entries(conform(facts, ANNOTATIONS), images)
    assert entries["template"].str.split(".").list.get(1).to_list() == (
        [] if section == "leave-out" else [section]
    )


def test_what_was_done_is_counted():
    config = CleaningConfig()
    _, _, counts = clean_reports(ROWS, config)
    assert as_decision(counts, config) == {
        "options": config.model_dump(mode="json"), "unknown_sections": 1,
        "texts_with_gaps": 1, "gaps_closed": 1, "sentences_dropped": 1,
        "headings": {"report": 2, "report-no-heading": 1},
    }  # fmt: skip
