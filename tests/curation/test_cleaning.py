"""Tests the cleaning of reports: each step, their order, and that the raw text is kept."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.curation.cleaning import STEPS, CleaningConfig, clean_reports, clean_text
from imaxray.schema import SOURCE_ANNOTATIONS, conform


def clean(text, *steps):
    config = CleaningConfig(steps=steps) if steps else CleaningConfig()
    return pl.DataFrame({"t": [text]}).select(clean_text(pl.col("t"), config)).item()


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("lines", "No pleural\n effusion.\n \n Heart big.", "No pleural effusion. Heart big."),
        ("addenda", "Clear lungs.\n " + "_" * 60 + "\n FINAL REPORT", "Clear lungs."),
        ("addenda", "Clear lungs.\n\nADDENDUM: Discussed.\n\nMore.", "Clear lungs.\n\nMore."),
        ("addenda", "No addendum needed.", "No addendum needed."),
        ("deidentification", "Seen by Dr. ___ on XXXX [**2101-1-1**].", "Seen by Dr.   on    ."),
        ("deidentification", "XXL catheter", "XXL catheter"),
        ("comparisons", "Heart is large. Effusion unchanged from prior. No edema.",
         "Heart is large. No edema."),
        ("notifications", "Pneumothorax. Dr. A was paged. Line in place.",
         "Pneumothorax. Dr. Line in place."),
        ("enumeration", "1. Edema. 2. Effusion measuring 3.5 cm.",
         "Edema. Effusion measuring 3.5 cm."),
        ("enumeration", "1) Edema.\n2) Effusion.", "Edema.\nEffusion."),
        ("spaces", " The  heart , enlarged .", "The heart, enlarged."),
    ],
)  # fmt: skip
def test_a_step_does_its_own_work_only(step, text, expected):
    assert clean(text, step) == expected


def test_the_default_reads_as_a_text():
    text = "1. Mild edema, compared\n to ___.\n \n 2. No effusion ."
    assert clean(text) == "Mild edema, compared to. No effusion."


def test_the_order_of_naming_does_not_matter():
    text = "1. Edema.\n ___  2. Effusion ."
    assert clean(text, *STEPS) == clean(text, *reversed(STEPS))


def test_no_step_changes_nothing():
    assert pl.DataFrame({"t": [" a\n___ "]}).select(
        clean_text(pl.col("t"), CleaningConfig(steps=()))
    ).item() == " a\n___ "  # fmt: skip


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
    kept, rejects = clean_reports(frame, CleaningConfig())
    by_row = {row["row"]: row for row in kept.iter_rows(named=True)}
    assert (by_row[1]["text"], by_row[1]["raw"]) == ("Clear lungs.", "Clear\n lungs.")
    assert (by_row[2]["text"], by_row[2]["raw"]) == ("Normal.", None)
    assert by_row[4]["text"] is None and 3 not in by_row
    assert rejects.select("row", "code", "key").rows() == [(3, "empty-text", "s3")]
